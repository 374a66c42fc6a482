"""AuditResult → the figures that can be accepted and compared, each with the examples it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.roles import REFERENCES


@dataclass(frozen=True)
class TrackedMetric:
    """One figure of an audit.

    Attributes:
        subject: role, or name, of the model that it is of.
        n: distinct examples that ``examples`` are of; 0 where no examples are counted.
        examples: ids of those that count against the subject, or None where the figure is no matter of examples.
        ambiguous: ids of those that could fall either way.
        of: digest of the subject.
        over: what must be the same for two of them to be comparable, by name.
    """

    metric: str
    subject: str
    estimate: Estimate
    n: int
    examples: tuple[int, ...] | None
    ambiguous: tuple[int, ...]
    of: str
    over: dict[str, str]

    @property
    def key(self) -> tuple[str, str]:
        return self.metric, self.subject

    @property
    def possible(self) -> frozenset[int]:
        """Examples that count, or may."""
        return frozenset(self.examples or ()) | frozenset(self.ambiguous)


def tracked_metrics(result: AuditResult) -> tuple[TrackedMetric, ...]:
    """Rates of all models over training sets, what they have in common, risk, and held-out losses."""
    lengths = {
        "lengths": ", ".join(str(result.settings.get(f"{part}_tokens")) for part in ("prefix", "suffix", "window"))
    }
    rates = tuple(_rates(result, lengths))
    # The first reports told this of the audit as a whole alone.
    told = {"training set": result.training_set.digest} if result.training_set else {}
    told |= {role: result.models[role].digest for role in REFERENCES if role in result.models}
    inherited = _inherited(result, rates, told, lengths)
    return (*rates, *inherited, *_risk(result, told, lengths), *_held_out(result, lengths))


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


def _inherited(
    result: AuditResult, rates: tuple[TrackedMetric, ...], told: dict[str, str], lengths: dict[str, str]
) -> tuple[TrackedMetric, ...]:
    entry = result.inheritance
    if entry is None:
        return ()
    subject, over = entry.ratio.subject, (entry.over or told) | lengths
    own = next((rate for rate in rates if rate.subject == subject), None)
    of = entry.of or (own.of if own is not None else "")
    ratio = TrackedMetric(
        entry.ratio.metric, subject, entry.ratio, entry.ratio.n, entry.inherited_examples, (), of, over
    )
    # Over the same baseline the reduction is a matter of what the student recites.
    recited = (own.n, own.examples, own.ambiguous) if own is not None else (0, None, ())
    return ratio, TrackedMetric(entry.reduction.metric, subject, entry.reduction, *recited, of, over)


def _risk(result: AuditResult, told: dict[str, str], lengths: dict[str, str]) -> tuple[TrackedMetric, ...]:
    if result.risk is None:
        return ()
    share, over = result.risk.share_at_risk, (result.risk.over or told) | lengths
    return (TrackedMetric(share.metric, share.subject, share, share.n, result.risk.examples, (), "", over),)


def _held_out(result: AuditResult, lengths: dict[str, str]) -> tuple[TrackedMetric, ...]:
    if result.control_set is None:
        return ()
    over = {"control set": result.control_set.digest} | lengths
    return tuple(
        TrackedMetric(entry.loss.metric, subject, entry.loss, 0, None, (), result.models[subject].digest, over)
        for subject, entry in result.held_out.items()
        if subject in result.models
    )
