"""Extracts from the result of an audit the metrics that can be accepted and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import Family
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.roles import MODEL_ROLES, REFERENCES, TEACHER_SET_NAME

# Figures of inheritance over the teacher set that can be accepted.
OVER_TEACHER_SET = ("inheritance ratio", "reduction")


@dataclass(frozen=True)
class TrackedMetric:
    """A metric of an audit, with the examples it counts and the conditions under which it was measured.

    Attributes:
        metric: Name of the metric.
        subject: Role or name of the model that was measured.
        estimate: Measured value with its bounds.
        n: Number of distinct examples that ``examples`` were counted among; 0 if no examples are counted.
        examples: Ids of the examples that count against the subject; None if the metric counts no examples.
        ambiguous: Ids of the ambiguous examples.
        model_digest: Digest of the model that was measured; empty if there is none.
        comparable_on: Digests and settings that must be equal in two comparable metrics, by name.
    """

    metric: str
    subject: str
    estimate: Estimate
    n: int
    examples: tuple[int, ...] | None
    ambiguous: tuple[int, ...]
    model_digest: str = field(metadata={"json": "of"})
    comparable_on: dict[str, str] = field(metadata={"json": "over"})

    @property
    def key(self) -> tuple[str, str]:
        """Metric and subject, which tell the metrics of one audit apart."""
        return self.metric, self.subject

    @property
    def possible_examples(self) -> frozenset[int]:
        """Ids of the examples that count, with the ambiguous ones."""
        return frozenset(self.examples or ()) | frozenset(self.ambiguous)


def tracked_metrics(result: AuditResult) -> tuple[TrackedMetric, ...]:
    """Return the figures of an audit that can be accepted.

    These are memorization rates, inheritance ratio and reduction, share at risk, held-out losses, and the figures of
    membership and canaries.
    """
    tokens = (str(result.settings.get(f"{part}_tokens")) for part in ("prefix", "suffix", "window"))
    lengths = {"lengths": ", ".join(tokens)}
    rates = tuple(_rates(result, lengths))
    return (
        *rates,
        *_inheritance(result, rates, lengths),
        *_over_teacher_set(result, lengths),
        *_risk(result, lengths),
        *_held_out(result, lengths),
        *_of_family(result, "membership", "members, controls, attacks or reference", lengths),
        *_of_family(result, "canaries", "canaries or training set that holds them", lengths),
    )


def _audits_own_digests(result: AuditResult) -> dict[str, str]:
    """What ratio, reduction and risk were measured over, for the first reports, which hold it for the audit only."""
    training_set = {"training set": result.training_set.digest} if result.training_set else {}
    return training_set | {role: result.models[role].digest for role in REFERENCES if role in result.models}


def _rates(result: AuditResult, lengths: dict[str, str]) -> Iterator[TrackedMetric]:
    for subject, estimate in result.memorization.items():
        data = result.other_sets.get(subject, result.training_set)
        if data is not None and subject in result.models:
            yield TrackedMetric(
                estimate.metric,
                subject,
                estimate,
                data.distinct,
                result.memorized_examples.get(subject, ()),
                result.ambiguous_examples.get(subject, ()),
                result.models[subject].digest,
                {"training set": data.digest} | lengths,
            )


def _inheritance(
    result: AuditResult, rates: tuple[TrackedMetric, ...], lengths: dict[str, str]
) -> tuple[TrackedMetric, ...]:
    entry = result.inheritance
    if entry is None:
        return ()
    subject, comparable_on = entry.ratio.subject, (entry.comparable_on or _audits_own_digests(result)) | lengths
    students_rate = next((rate for rate in rates if rate.subject == subject), None)
    digest = entry.model_digest or (students_rate.model_digest if students_rate is not None else "")
    ratio = TrackedMetric(
        entry.ratio.metric, subject, entry.ratio, entry.ratio.n, entry.inherited_examples, (), digest, comparable_on
    )
    # Given the same baseline, the reduction depends only on which examples the student recites.
    recited = (students_rate.n, students_rate.examples, students_rate.ambiguous) if students_rate else (0, None, ())
    return ratio, TrackedMetric(entry.reduction.metric, subject, entry.reduction, *recited, digest, comparable_on)


def _risk(result: AuditResult, lengths: dict[str, str]) -> tuple[TrackedMetric, ...]:
    if result.risk is None:
        return ()
    share, comparable_on = result.risk.share_at_risk, result.risk.comparable_on or _audits_own_digests(result)
    examples = result.risk.examples
    return (TrackedMetric(share.metric, share.subject, share, share.n, examples, (), "", comparable_on | lengths),)


def _held_out(result: AuditResult, lengths: dict[str, str]) -> tuple[TrackedMetric, ...]:
    if result.control_set is None:
        return ()
    comparable_on = {"control set": result.control_set.digest} | lengths
    return tuple(
        TrackedMetric(entry.loss.metric, subject, entry.loss, 0, None, (), result.models[subject].digest, comparable_on)
        for subject, entry in result.held_out.items()
        if subject in result.models
    )


def _over_teacher_set(result: AuditResult, lengths: dict[str, str]) -> Iterator[TrackedMetric]:
    """Inheritance ratio and reduction over the teacher set; the rates over it are among the others."""
    data = result.teacher_set
    digests = {role: _digest(result, role) for role in MODEL_ROLES}
    if data is None or not all(digests.values()):
        return
    # The digest is of what is left of the set, without what the training set holds.
    comparable_on = {role: digests[role] for role in REFERENCES} | {"teacher set": data.digest}
    for figure in result.figures:
        if figure.family == "teacher_set" and figure.estimate.metric in OVER_TEACHER_SET:
            metric, estimate = figure.estimate.metric, figure.estimate
            yield TrackedMetric(
                metric, estimate.subject, estimate, 0, None, (), digests["student"], comparable_on | lengths
            )


def _of_family(
    result: AuditResult, family: Family, taken_over: str, lengths: dict[str, str]
) -> Iterator[TrackedMetric]:
    """The figures of a family that know what they were taken over, which ``taken_over`` names.

    Of several that have one name, as over several control sets, the first can be accepted.
    """
    names: set[tuple[str, str]] = set()
    for figure in result.figures:
        metric, estimate = figure.estimate.metric, figure.estimate
        is_first = (metric, figure.subject) not in names
        if figure.family == family and is_first and figure.digest and (digest := _digest(result, figure.subject)):
            names.add((metric, figure.subject))
            comparable_on = {taken_over: figure.digest} | lengths
            yield TrackedMetric(metric, figure.subject, estimate, 0, None, (), digest, comparable_on)


def _digest(result: AuditResult, role: str) -> str:
    """Digest of a model by its role or name, which may have been scored over the teacher set alone."""
    scored = (result.models.get(label) for label in (role, f"{role} on {TEACHER_SET_NAME}"))
    return next((model.digest for model in scored if model is not None), "")
