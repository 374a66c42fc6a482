"""Compares two values of one metric over the same examples: how far it has moved, and whether it is worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.auditing.schema_checks import MetricChange
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.bounds import lower_bound, sign_test, upper_bound
from pytest_kdmem.metrics.direction import HIGHER_IS_BETTER, Operator
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.options import OPTIONS

Outcome = Literal["better", "same", "worse", "undecided"]
LENGTHS = ("prefix-tokens", "suffix-tokens", "window-tokens")
DEFAULTS = {option.name: str(option.default) for option in OPTIONS if option.name in LENGTHS}
# Relative difference that other arithmetic alone can make.
ROUNDING = 1e-3


@dataclass(frozen=True)
class PairedDifference:
    """The distinct examples that count for one of two values only; an ambiguous example counts for both.

    Attributes:
        n: Number of distinct examples.
        newly: Ids of the examples that count for the later value only, ascending.
        no_longer: Ids of the examples that count for the earlier value only, ascending.
        p_value: Exact one-sided McNemar test that more examples were gained than lost.
    """

    n: int
    newly: tuple[int, ...]
    no_longer: tuple[int, ...]
    p_value: float


def no_worse_operator(metric: str) -> Operator:
    """The operator between a value and another one that it must be no worse than."""
    return ">=" if metric in HIGHER_IS_BETTER else "<="


def metric_changes(accepted: Sequence[TrackedMetric], measured: Sequence[TrackedMetric]) -> tuple[MetricChange, ...]:
    """One change for each metric on either side; a metric on one side only is ``new`` or ``unused``."""
    before, now = ({metric.key: metric for metric in side} for side in (accepted, measured))
    changes = [metric_change(before[key], metric) if key in before else _new(metric) for key, metric in now.items()]
    return (*changes, *(_unused(metric) for key, metric in before.items() if key not in now))


def metric_change(accepted: TrackedMetric, measured: TrackedMetric) -> MetricChange:
    """Compare a metric with its accepted value.

    It is ``worse`` if the bound that gates read has grown worse and a paired test shows it: of the examples that count
    on one side only, so many are new (exact one-sided McNemar test at 1 − confidence). It is ``undecided`` if the bound
    has grown worse and chance could explain that. Ambiguous examples count on both sides.
    """
    if difference := incomparable_reason(_conditions(accepted), _conditions(measured)):
        return _uncompared(measured, accepted.estimate, measured.estimate, "refused", difference)
    paired = _paired_difference(accepted, measured)
    outcome, reason = _judged(accepted, measured, paired)
    value, low, high = _difference(accepted.estimate, measured.estimate, paired)
    return MetricChange(
        metric=measured.metric,
        subject=measured.subject,
        accepted=accepted.estimate,
        measured=measured.estimate,
        newly=len(paired.newly) if paired else None,
        no_longer=len(paired.no_longer) if paired else None,
        newly_examples=paired.newly if paired else (),
        difference=value,
        low=low,
        high=high,
        p_value=paired.p_value if paired else None,
        outcome=outcome,
        reason=reason,
    )


def incomparable_reason(accepted: Mapping[str, str], measured: Mapping[str, str]) -> str:
    """The first difference between the conditions of two measurements, or an empty string if there is none."""
    for name in {**accepted, **measured}:
        now, before = measured.get(name), accepted.get(name)
        if before != now:
            return f"another {name} than was accepted ({_shorten(now)}, accepted: {_shorten(before)})"
    return ""


def _conditions(metric: TrackedMetric) -> dict[str, str]:
    """What two comparable measurements have in common; settings first, as they are why digests differ, too."""
    conditions = dict(metric.comparable_on)
    lengths = conditions.pop("lengths", "")
    settings = {"confidence": f"{metric.estimate.confidence:g}"}
    if lengths:
        settings |= dict(zip(LENGTHS, lengths.split(", "), strict=False))
    # Earlier versions wrote None for what no setting named.
    spelled = {name: DEFAULTS[name] if value == "None" else value for name, value in settings.items()}
    return spelled | conditions


def _paired_difference(accepted: TrackedMetric, measured: TrackedMetric) -> PairedDifference | None:
    """The examples on which the two sides differ; None for a metric that counts no examples."""
    if accepted.examples is None or measured.examples is None:
        return None
    newly = tuple(sorted(measured.possible_examples - accepted.possible_examples))
    no_longer = tuple(sorted(accepted.possible_examples - measured.possible_examples))
    differing = len(newly) + len(no_longer)
    p_value = sign_test(len(newly), differing)
    return PairedDifference(measured.n, newly, no_longer, p_value)


def _judged(accepted: TrackedMetric, measured: TrackedMetric, paired: PairedDifference | None) -> tuple[Outcome, str]:
    if not measured.model_digest or measured.model_digest != accepted.model_digest:
        return _judged_values(accepted, measured, paired)
    if measured.examples is None or measured.metric in HIGHER_IS_BETTER:
        if _differ_by_rounding(accepted.estimate, measured.estimate):
            return "same", "the same model"
        return _judged_values(accepted, measured, paired)
    return _judged_same_model(accepted, measured)


def _judged_same_model(accepted: TrackedMetric, measured: TrackedMetric) -> tuple[Outcome, str]:
    """One model scored twice recites the same examples, except for ambiguous ones."""
    ambiguous = {*accepted.ambiguous, *measured.ambiguous}
    differing = (set(accepted.examples or ()) ^ set(measured.examples or ())) - ambiguous
    if not differing:
        return "same", "the same model"
    return (
        "undecided",
        f"the same model, and {count(len(differing))} verdicts differ outside the ambiguous band: confirm them",
    )


def _differ_by_rounding(accepted: Estimate, measured: Estimate) -> bool:
    """Whether a value lies within the bounds of another to a part in a thousand, or both are undefined."""
    if math.isnan(accepted.value) or math.isnan(measured.value):
        return math.isnan(accepted.value) and math.isnan(measured.value)
    return accepted.low * (1 - ROUNDING) <= measured.value <= accepted.high * (1 + ROUNDING)


def _judged_values(
    accepted: TrackedMetric, measured: TrackedMetric, paired: PairedDifference | None
) -> tuple[Outcome, str]:
    undefined = [math.isnan(metric.estimate.value) for metric in (accepted, measured)]
    if any(undefined):
        return ("same", "undefined, as before") if all(undefined) else ("undecided", "undefined on one side")
    operator = no_worse_operator(measured.metric)
    before, now = accepted.estimate.bound_for(operator), measured.estimate.bound_for(operator)
    counts = f"{count(len(paired.newly))} newly, {count(len(paired.no_longer))} no longer" if paired else ""
    if now == before:
        if paired is None:
            return "same", "the same figure"
        return "same", counts if paired.newly or paired.no_longer else "the same examples"
    if now < before if operator == "<=" else now > before:
        return "better", counts or "by its bounds"
    if paired is None:
        apart = measured.estimate.low > accepted.estimate.high or measured.estimate.high < accepted.estimate.low
        return ("worse", "by its bounds") if apart else ("undecided", "by its bounds, which overlap")
    evidence = f"{counts}; paired p = {paired.p_value:.2g}"
    if paired.p_value <= 1 - measured.estimate.confidence:
        return "worse", evidence
    return "undecided", f"{evidence}, which could be chance"


def _difference(accepted: Estimate, measured: Estimate, paired: PairedDifference | None) -> tuple[float, float, float]:
    """measured − accepted, with a lower and an upper bound, each at the confidence of the estimates.

    For a proportion over a sample of pairs, the shares of examples gained and lost have Clopper–Pearson bounds that
    hold together. Otherwise the bounds of the two estimates are subtracted, which gives a wider interval.
    """
    value = measured.value - accepted.value
    if paired is None or measured.exhaustive or measured.unit != "proportion" or not paired.n:
        return value, measured.low - accepted.high, measured.high - accepted.low
    newly, no_longer = len(paired.newly), len(paired.no_longer)
    each = 1 - (1 - measured.confidence) / 2
    low = lower_bound(newly, paired.n, each) - upper_bound(no_longer, paired.n, each)
    high = upper_bound(newly, paired.n, each) - lower_bound(no_longer, paired.n, each)
    return value, min(low, value), max(high, value)


def _new(metric: TrackedMetric) -> MetricChange:
    return _uncompared(metric, None, metric.estimate, "new", "measured, and not accepted yet")


def _unused(metric: TrackedMetric) -> MetricChange:
    return _uncompared(metric, metric.estimate, None, "unused", "accepted, and not measured")


def _uncompared(
    metric: TrackedMetric,
    accepted: Estimate | None,
    measured: Estimate | None,
    outcome: Literal["new", "unused", "refused"],
    reason: str,
) -> MetricChange:
    return MetricChange(
        metric=metric.metric,
        subject=metric.subject,
        accepted=accepted,
        measured=measured,
        newly=None,
        no_longer=None,
        newly_examples=(),
        difference=None,
        low=None,
        high=None,
        p_value=None,
        outcome=outcome,
        reason=reason,
    )


def _shorten(value: str | None) -> str:
    return "none" if value is None else value if len(value) < 32 else value[:8]
