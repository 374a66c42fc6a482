"""Gives models without a role a short name in tables and pictures; their full source stands once, among the models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from pytest_kdmem.auditing.relative_paths import BEFORE_PATH
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate, GatePart
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.students import short_names

Value = TypeVar("Value")
AFTER_PATH = r"(?![^\s'\"=)\],:;])"  # anything else is a part of a longer path
ON_SET = " on "  # between a model and a set that is not the audit's own


def with_short_names(audit: AuditResult) -> AuditResult:
    """Return an audit in which each model without a role is named by the shortest end of its source that is its own.

    So do the reasons of its gates. Warnings keep the source, by which a reader finds the model.
    """
    names = _short_names(audit)
    if not names:
        return audit

    def name(subject: str) -> str:
        source, on, other_set = subject.partition(ON_SET)
        return names.get(subject) or names.get(source, source) + on + other_set

    def named(entries: Mapping[str, Value], change: Callable[[Value], Value] = lambda value: value) -> dict[str, Value]:
        return {name(subject): change(value) for subject, value in entries.items()}

    def sentence(text: str, *sides: Estimate | float | None) -> str:
        for side in sides:
            source = side.subject.partition(ON_SET)[0] if isinstance(side, Estimate) else ""
            if source in names:
                text = _without_folders(text, source, names[source])
        return text

    def of_estimate(estimate: Estimate) -> Estimate:
        return replace(estimate, subject=name(estimate.subject))

    def of_gate(gate: Gate) -> Gate:
        estimate = None if gate.estimate is None else of_estimate(gate.estimate)
        threshold = of_estimate(gate.threshold) if isinstance(gate.threshold, Estimate) else gate.threshold
        return replace(
            gate,
            estimate=estimate,
            threshold=threshold,
            reason=sentence(gate.reason, gate.estimate, gate.threshold),
            further_parts=tuple(map(of_part, gate.further_parts)),
        )

    def of_part(part: GatePart) -> GatePart:
        threshold = of_estimate(part.threshold) if isinstance(part.threshold, Estimate) else part.threshold
        reason = sentence(part.reason, part.estimate, part.threshold)
        return replace(part, estimate=of_estimate(part.estimate), threshold=threshold, reason=reason)

    def of_figure(figure: FigureEntry) -> FigureEntry:
        label = figure.label
        for source, short in names.items():
            label = label.replace(f"reference {source}", f"reference {short}")
        subject = name(figure.subject)
        return replace(figure, subject=subject, label=label, estimate=of_estimate(figure.estimate))

    examples, distributions = audit.examples, audit.distributions
    return replace(
        audit,
        models=named(audit.models),
        other_sets=named(audit.other_sets),
        memorization=named(audit.memorization, of_estimate),
        memorized_examples=named(audit.memorized_examples),
        ambiguous_examples=named(audit.ambiguous_examples),
        held_out=named(audit.held_out),
        confirmation=named(audit.confirmation),
        further_inheritances=tuple(
            replace(each, teacher=name(each.teacher), baseline=name(each.baseline), student=name(each.student))
            for each in audit.further_inheritances
        ),
        examples=examples and replace(examples, models=named(examples.models)),
        distributions=distributions and replace(distributions, models=named(distributions.models)),
        figures=tuple(map(of_figure, audit.figures)),
        metric_changes=tuple(replace(change, subject=name(change.subject)) for change in audit.metric_changes),
        gates=tuple(map(of_gate, audit.gates)),
    )


def _without_folders(text: str, source: str, name: str) -> str:
    """Return a sentence with the name of a model in place of its source, or of what a relative path leaves of that."""
    parts = source.split("/")
    ends = "|".join(re.escape("/".join(parts[first:])) for first in range(len(parts) - 1))
    return re.sub(f"{BEFORE_PATH}(?:{ends}){AFTER_PATH}", lambda _: name, text) if ends else text


def _short_names(audit: AuditResult) -> dict[str, str]:
    """Short name of each subject that is the source of a model; none if they could be taken for others."""
    sources: dict[str, None] = {}
    for subject, model in audit.models.items():
        source = subject if subject == model.source else subject.partition(ON_SET)[0]
        if source == model.source:
            sources[source] = None
    named_elsewhere = (figure.subject for figure in audit.figures)
    others = {*audit.models, *audit.memorization, *audit.held_out, *named_elsewhere} - sources.keys()
    everyone = [*sorted(others), *sources]
    shortened = dict(zip(everyone, short_names(everyone), strict=True))
    names = {source: shortened[source] for source in sources}
    is_distinct = len({*names.values(), *others}) == len(everyone)
    return {source: name for source, name in names.items() if name != source} if is_distinct else {}
