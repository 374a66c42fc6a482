"""Extracts from the result of an audit its further figures, which are compared where two reports hold them.

They cannot be accepted one by one: a report holds no examples of them, so that they are compared by their bounds.
"""

from __future__ import annotations

from pytest_kdmem.auditing.regression.metrics import TrackedMetric, tracked_metrics
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import Family, FigureEntry
from pytest_kdmem.metrics.direction import EITHER_WAY
from pytest_kdmem.specs.roles import REFERENCES

# Families of figures over the audit's own training set.
OVER_TRAINING_SET: tuple[Family, ...] = (
    "context",
    "near_verbatim",
    "sampler",
    "specific",
    "group",
    "copies",
    "class",
)
# Figures that depend on teacher and baseline as well.
OF_THREE_MODELS = ("inheritance ratio", "reduction", "inherited share", "inherited rate")
# Settings on which it depends what is found of a class.
CLASS_SETTINGS = ("phone_regions", "ner_model")


def further_metrics(result: AuditResult) -> tuple[TrackedMetric, ...]:
    """Return the figures over the training set of what is released that cannot be accepted.

    These are figures of classes of secrets, groups, tiers of copies, samplers, prefixes and near-verbatim recitation.
    """
    if result.training_set is None:
        return ()
    acceptable = {metric.key for metric in tracked_metrics(result)}
    metrics: dict[tuple[str, str], TrackedMetric] = {}
    for figure in result.figures:
        if figure.family in OVER_TRAINING_SET and figure.subject not in REFERENCES:
            metric = _metric(result, figure, result.training_set.digest)
            if metric.key not in acceptable and metric.metric not in EITHER_WAY:
                metrics.setdefault(metric.key, metric)
    return tuple(metrics.values())


def _metric(result: AuditResult, figure: FigureEntry, training_set: str) -> TrackedMetric:
    estimate = figure.estimate
    conditions = {"training set": training_set}
    if estimate.metric.endswith(OF_THREE_MODELS):
        conditions |= {role: result.models[role].digest for role in REFERENCES if role in result.models}
    if figure.family == "class":
        conditions |= {name: str(result.settings.get(name)) for name in CLASS_SETTINGS}
    lengths = ", ".join(str(result.settings.get(f"{part}_tokens")) for part in ("prefix", "suffix", "window"))
    role = figure.subject if figure.subject in result.models else "student"
    digest = result.models[role].digest if role in result.models else ""
    return TrackedMetric(
        estimate.metric, estimate.subject, estimate, 0, None, (), digest, {**conditions, "lengths": lengths}
    )
