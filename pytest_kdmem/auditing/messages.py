"""Writes the sentences about a judged comparison: the reason for its verdict, and the next step."""

from __future__ import annotations

import math

from pytest_kdmem.auditing.regression.verdict import RegressionVerdict
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.direction import MIRRORED, Operator
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, SIGN, Comparison, Estimate
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.roles import TEACHER_SET_NAME

INHERITANCE_RATIO = "inheritance ratio"
MEMORIZATION_RATE = "memorization rate"
REDUCTION = "reduction"
OPPOSITE_SIGN: dict[Operator, str] = {"<=": ">", "<": "≥", ">=": "<", ">": "≤"}
UNDEFINED = "There is no memorized example to compute it from, or student and baseline are the same model: check both."
NOTHING_TO_INHERIT = (
    "The teacher recites nothing that the baseline does not, so nothing can be inherited: leave this gate out, or"
    " compare `inheritance().share`, the inherited share of what the student recites; no gate of it can hold if two of"
    " the models are the same."
)
UNDEFINED_OVER_A_SAMPLE = (
    "The sample holds no memorized example to compute it from: raise --kdmem-sample, or audit the whole set."
)
NONE_LONG_ENOUGH = (
    "All of its rows are shorter than prefix and suffix, so nothing was looked at: set shorter --kdmem-prefix-tokens"
    " and --kdmem-suffix-tokens, or compare by_group.looked_at, which leaves it out."
)
NONE_DRAWN = (
    "The sample holds no example of it: draw some of each with --kdmem-stratify, raise --kdmem-sample, or audit the"
    " whole set."
)
ACCEPT = "If you want to ship this, accept it: --kdmem-update-baseline-file, and commit the file."


def reason(comparison: Comparison, verdict: Verdict) -> str:
    """Returns one line with the figure, its bound and counts, the threshold, and how they compare."""
    estimate, operator = comparison.estimate, comparison.operator
    figure = f"{estimate.name} {estimate.describe(operator)}"
    limit = _threshold_text(comparison)
    if isinstance(verdict, RegressionVerdict):
        return _regression_reason(figure, limit, verdict)
    if verdict.outcome == "pass":
        return f"{figure} {SIGN[operator]} {limit}{verdict.basis and f', {verdict.basis}'}"
    if _has_nothing_to_reduce(estimate):
        return f"{figure}: the baseline recites none of {count(estimate.n)} examples, so there is nothing to reduce"
    if not verdict.defined:
        return f"{figure}: nothing to compare with {limit}"
    if verdict.examples_needed:
        return f"{figure} cannot show {SIGN[operator]} {limit} with {count(estimate.n)} examples"
    if verdict.basis:
        return f"{figure} is not shown {SIGN[operator]} {limit}, {verdict.basis}"
    return f"{figure} {OPPOSITE_SIGN[operator]} {limit}"


def next_step(comparison: Comparison, verdict: Verdict) -> str:
    """Returns a sentence on what to do about a comparison that does not pass, or an empty string if it passes."""
    if verdict.outcome == "pass":
        return ""
    if isinstance(verdict, RegressionVerdict):
        return ACCEPT
    if verdict.remedy:
        return verdict.remedy
    if _has_nothing_to_reduce(comparison.estimate):
        return _without_baseline(comparison.estimate)
    if not verdict.defined:
        return _undefined(comparison.estimate)
    if verdict.examples_needed:
        return _more_examples(verdict.examples_needed, comparison.estimate)
    return _after_failure(comparison)


def _threshold_text(comparison: Comparison) -> str:
    threshold = comparison.threshold
    if isinstance(threshold, Estimate):
        return f"{threshold.describe(MIRRORED[comparison.operator])} of {threshold.on_set(threshold.subject)}"
    return comparison.estimate.format_value(threshold)


def _regression_reason(figure: str, limit: str, verdict: RegressionVerdict) -> str:
    if verdict.change is None:
        return f"{figure} accepted by this run"
    if not verdict.defined:
        return f"{figure}: nothing to compare with what was accepted ({limit})"
    if verdict.outcome == "pass":
        return f"{figure} no worse than accepted ({limit})"
    return f"{figure} worse than accepted ({limit}): {verdict.change.reason}"


def _undefined(estimate: Estimate) -> str:
    if estimate.metric == MEMORIZATION_RATE and not estimate.n:
        return NONE_LONG_ENOUGH if estimate.exhaustive else NONE_DRAWN
    if estimate.metric == INHERITANCE_RATIO and estimate.exhaustive:
        return NOTHING_TO_INHERIT
    return UNDEFINED if estimate.exhaustive else UNDEFINED_OVER_A_SAMPLE


def _has_nothing_to_reduce(estimate: Estimate) -> bool:
    """Whether a figure is a reduction of what is 0: the baseline recites nothing of what was looked at."""
    return estimate.metric == REDUCTION and estimate.n > 0 and (math.isnan(estimate.value) or estimate.value == 0)


def _without_baseline(estimate: Estimate) -> str:
    larger = "" if estimate.exhaustive else "raise --kdmem-sample, "
    return (
        "A reduction needs a baseline that recites something: drop this gate where a lower limit of the memorization"
        f" rate (--kdmem-max-memorization-rate) says the same, {larger}or audit with shorter --kdmem-prefix-tokens and"
        " --kdmem-suffix-tokens."
    )


def can_be_stratum(estimate: Estimate) -> bool:
    """Whether a figure over a sample is of a group or tier, of which more can be drawn; a teacher set has no strata."""
    return estimate.part is not None and not estimate.exhaustive and f" on {TEACHER_SET_NAME}" not in estimate.subject


def _more_examples(needed: float, estimate: Estimate) -> str:
    if math.isinf(needed):
        return "No sample can show this: audit the whole training set (no --kdmem-sample)."
    if can_be_stratum(estimate):
        return (
            f"{count(int(needed))} examples of it would decide it: draw as many with --kdmem-stratify={estimate.part}"
            f" --kdmem-stratum-sample={int(needed)}, or audit the whole set."
        )
    return (
        f"A denominator of at least {count(int(needed))} examples would decide it: raise --kdmem-sample, or sample="
        " where the training set is declared."
    )


def _after_failure(comparison: Comparison) -> str:
    estimate, operator, threshold = comparison.estimate, comparison.operator, comparison.threshold
    limit = threshold.value if isinstance(threshold, Estimate) else threshold
    value_meets_limit = estimate.value <= limit if operator in ("<=", "<") else estimate.value >= limit
    if value_meets_limit and can_be_stratum(estimate):
        return (
            "The point estimate meets the threshold and its bound does not: draw more of it with"
            f" --kdmem-stratify={estimate.part} and a larger --kdmem-stratum-sample."
        )
    if value_meets_limit and not estimate.exhaustive:
        return "The point estimate meets the threshold and its bound does not: audit a larger sample."
    if value_meets_limit and estimate.ambiguous:
        return "Only ambiguous examples keep it from passing: audit with --kdmem-dtype float32, and --kdmem-confirm."
    if estimate.metric == SHARE_AT_RISK:
        return (
            "Write a training set without the examples at risk: kdmem prefilter TRAINING_SET --teacher … --out"
            " cleaned/ (--recall 99% leaves out more)."
        )
    if estimate.metric == INHERITANCE_RATIO:
        return (
            "Learn from the teacher's logits (soft) at a higher temperature, and not from text that the teacher wrote;"
            " or remove from the training set the examples that only the teacher recites."
        )
    if operator in (">=", ">"):
        return (
            "The student memorizes too much, compared with its baseline: raise the temperature, or train fewer epochs."
        )
    if estimate.unit == "nats":
        return "Train the student longer or on more data: memorizing less by learning less is no gain."
    return "Deduplicate the training set, train fewer epochs, or distil soft at a higher temperature."
