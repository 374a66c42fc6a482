"""Two figures over the same examples → how far the later one has moved, and whether it is no worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binomtest

from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.audit.schema import MetricChange
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.estimate import HIGHER_IS_BETTER, Estimate, Operator
from pytest_kdmem.metrics.verdict import Verdict

Outcome = Literal["better", "same", "worse", "undecided"]
ROUNDING = 1e-3


@dataclass(frozen=True)
class RegressionVerdict(Verdict):
    """Verdict of a comparison with an accepted figure.

    Attributes:
        change: Change from the accepted figure; None if the run accepts its own figures.
    """

    change: MetricChange | None = None


def no_worse(metric: str) -> Operator:
    """The comparison that a figure no worse than another meets."""
    return ">=" if metric in HIGHER_IS_BETTER else "<="


def drifts(accepted: Sequence[TrackedMetric], found: Sequence[TrackedMetric]) -> tuple[MetricChange, ...]:
    """Every figure of either side: those of both compared, the others told as new or unused."""
    before, now = ({figure.key: figure for figure in side} for side in (accepted, found))
    entries = [drift(before[key], figure) if key in before else _alone(figure, "new") for key, figure in now.items()]
    return (*entries, *(_alone(figure, "unused") for key, figure in before.items() if key not in now))


def drift(accepted: TrackedMetric, found: TrackedMetric) -> MetricChange:
    """One figure against what was accepted of it.

    It is *worse* if the bound that gates read has grown worse and a paired test shows it: of the examples that count on
    one side only, so many are new (exact one-sided McNemar test, 1 − confidence). It is *undecided* if the bound has
    grown worse and chance could do that. Ambiguous examples count on both sides.
    """
    if wrong := incomparable(_terms(accepted), _terms(found)):
        return _entry(accepted, found, "refused", wrong)
    if found.of and found.of == accepted.of:
        return _same_model(accepted, found)
    outcome, reason = _judged(accepted, found)
    return _entry(accepted, found, outcome, reason)


def _terms(figure: TrackedMetric) -> dict[str, str]:
    """What a figure was taken over, and how sure its bounds are."""
    return figure.over | {"confidence": f"{figure.estimate.confidence:g}"}


def incomparable(accepted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What two figures were taken over that is not the same, in a sentence, or nothing."""
    for name in {**accepted, **found}:
        if accepted.get(name) != found.get(name):
            return (
                f"another {name} than was accepted ({_short(found.get(name))}, accepted: {_short(accepted.get(name))})"
            )
    return ""


def limit_of(accepted: TrackedMetric, allowed: float) -> float:
    """The bound that was accepted, and what is allowed beyond it."""
    return accepted.estimate.bound_for(no_worse(accepted.metric)) + allowed


def verdict_of(entry: MetricChange, limit: float) -> RegressionVerdict:
    """Judge a figure that must be no worse than ``limit``."""
    assert entry.found is not None
    assert entry.accepted is not None
    if math.isnan(entry.found.value) or math.isnan(entry.accepted.value):
        return RegressionVerdict("inconclusive", defined=False, change=entry)
    operator = no_worse(entry.metric)
    bound = entry.found.bound_for(operator)
    within = bound <= limit if operator == "<=" else bound >= limit
    if within or entry.outcome == "same":  # the band of one model can differ from run to run
        return RegressionVerdict("pass", change=entry)
    return RegressionVerdict("inconclusive" if entry.outcome == "undecided" else "fail", change=entry)


def _same_model(accepted: TrackedMetric, found: TrackedMetric) -> MetricChange:
    """What a model's figure should be once more: the same, but for ambiguous examples and for rounding."""
    if found.examples is None or found.metric in HIGHER_IS_BETTER:
        if _alike(accepted.estimate, found.estimate):
            return _entry(accepted, found, "same", "the same model")
        return _entry(accepted, found, *_judged(accepted, found))
    either_way = {*accepted.ambiguous, *found.ambiguous}
    flipped = (set(accepted.examples or ()) ^ set(found.examples or ())) - either_way
    if flipped:
        reason = f"the same model, and {count(len(flipped))} verdicts differ outside the ambiguous band: confirm them"
        return _entry(accepted, found, "undecided", reason)
    return _entry(accepted, found, "same", "the same model")


def _alike(accepted: Estimate, found: Estimate) -> bool:
    """Whether a figure lies within the bounds of another, to a part in a thousand, as arithmetic may differ."""
    if math.isnan(accepted.value) or math.isnan(found.value):
        return math.isnan(accepted.value) and math.isnan(found.value)
    return accepted.low * (1 - ROUNDING) <= found.value <= accepted.high * (1 + ROUNDING)


def _judged(accepted: TrackedMetric, found: TrackedMetric) -> tuple[Outcome, str]:
    operator = no_worse(found.metric)
    before, now = accepted.estimate.bound_for(operator), found.estimate.bound_for(operator)
    newly, no_longer = _changed(accepted, found)
    paired = found.examples is not None and accepted.examples is not None
    moved = f"{count(len(newly))} newly, {count(len(no_longer))} no longer" if paired else "by its bounds"
    undefined = [math.isnan(one.estimate.value) for one in (accepted, found)]
    if any(undefined):
        return ("same", "undefined, as before") if all(undefined) else ("undecided", "undefined on one side")
    if now == before:
        return "same", moved if newly or no_longer else "the same examples" if paired else "the same figure"
    if now < before if operator == "<=" else now > before:
        return "better", moved
    if not paired:
        apart = found.estimate.low > accepted.estimate.high or found.estimate.high < accepted.estimate.low
        return ("worse", moved) if apart else ("undecided", f"{moved}, which overlap")
    p_value = _p_value(len(newly), len(no_longer))
    shown = f"{moved}; paired p = {p_value:.2g}"
    if p_value <= 1 - found.estimate.confidence:
        return "worse", shown
    return "undecided", f"{shown}, which chance could do"


def _changed(accepted: TrackedMetric, found: TrackedMetric) -> tuple[list[int], list[int]]:
    before, now = accepted.possible, found.possible
    return sorted(now - before), sorted(before - now)


def _p_value(newly: int, no_longer: int) -> float:
    """Exact one-sided McNemar test that more examples came than went."""
    differing = newly + no_longer
    return float(binomtest(newly, differing, alternative="greater").pvalue) if differing else 1.0


def _difference(accepted: TrackedMetric, found: TrackedMetric) -> tuple[float, float, float]:
    """found − accepted, with bounds that hold each at the figures' confidence.

    Over a sample of pairs the two discordant shares have Clopper–Pearson bounds that hold together; elsewhere the
    bounds of the two figures are taken as they stand, which is wider than it need be.
    """
    one, other = found.estimate, accepted.estimate
    value = one.value - other.value
    if found.examples is None or one.exhaustive or one.unit != "proportion" or not found.n:
        return value, one.low - other.high, one.high - other.low
    newly, no_longer = (len(changed) for changed in _changed(accepted, found))
    each = 1 - (1 - one.confidence) / 2
    low = lower_bound(newly, found.n, each) - upper_bound(no_longer, found.n, each)
    high = upper_bound(newly, found.n, each) - lower_bound(no_longer, found.n, each)
    return value, min(low, value), max(high, value)


def _entry(
    accepted: TrackedMetric, found: TrackedMetric, outcome: Literal["refused"] | Outcome, reason: str
) -> MetricChange:
    compared = outcome != "refused"
    paired = compared and found.examples is not None and accepted.examples is not None
    newly, no_longer = _changed(accepted, found) if paired else ([], [])
    difference, low, high = _difference(accepted, found) if compared else (None, None, None)
    return MetricChange(
        metric=found.metric,
        subject=found.subject,
        accepted=accepted.estimate,
        found=found.estimate,
        newly=len(newly) if paired else None,
        no_longer=len(no_longer) if paired else None,
        newly_examples=tuple(newly),
        difference=difference,
        low=low,
        high=high,
        p_value=_p_value(len(newly), len(no_longer)) if paired else None,
        outcome=outcome,
        reason=reason,
    )


def _alone(figure: TrackedMetric, outcome: Literal["new", "unused"]) -> MetricChange:
    estimate: Estimate = figure.estimate
    return MetricChange(
        metric=figure.metric,
        subject=figure.subject,
        accepted=estimate if outcome == "unused" else None,
        found=estimate if outcome == "new" else None,
        newly=None,
        no_longer=None,
        newly_examples=(),
        difference=None,
        low=None,
        high=None,
        p_value=None,
        outcome=outcome,
        reason="accepted, and not measured" if outcome == "unused" else "measured, and not accepted yet",
    )


def _short(value: str | None) -> str:
    return "none" if value is None else value if len(value) < 32 else value[:8]
