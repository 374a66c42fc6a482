"""Estimate × threshold → pass | fail | inconclusive, and the words for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.estimate import MIRRORED, SHARE_AT_RISK, SIGN, Estimate, Operator, satisfies

INHERITANCE_RATIO = "inheritance ratio"
UNDEFINED = "There is no memorized example to take it over, or student and baseline are one model: check both."
UNDEFINED_OF_A_SAMPLE = (
    "The sample holds no memorized example to take it over: raise --kdmem-sample, or audit the whole set."
)
Outcome = Literal["pass", "fail", "inconclusive"]
OPPOSITE: dict[Operator, str] = {"<=": ">", "<": "≥", ">=": "<", ">": "≤"}


@dataclass(frozen=True)
class Verdict:
    """What a gate found. ``reason`` is one line that tells it all; ``next_step`` says what to do about it."""

    outcome: Outcome
    reason: str
    next_step: str


class JudgedBound(float):
    """A number that an estimate is compared with, where more than the number decides."""

    verdict: Verdict

    @staticmethod
    def of(limit: float, verdict: Verdict) -> JudgedBound:
        bound = JudgedBound(limit)
        bound.verdict = verdict
        return bound


def judge(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> Verdict:
    """Decide a gate; ``inconclusive`` if the figure is undefined or no outcome at this n could meet the threshold."""
    if isinstance(threshold, JudgedBound):
        return threshold.verdict
    shown = f"{estimate.metric} of {estimate.subject} {estimate.describe(operator)}"
    limit = (
        estimate.format_value(float(threshold))
        if not isinstance(threshold, Estimate)
        else f"{threshold.describe(MIRRORED[operator])} of {threshold.subject}"
    )
    if satisfies(estimate, operator, threshold):
        return Verdict("pass", f"{shown} {SIGN[operator]} {limit}", "")
    if math.isnan(estimate.value) or (isinstance(threshold, Estimate) and math.isnan(threshold.value)):
        return Verdict(
            "inconclusive",
            f"{shown}: nothing to compare with {limit}",
            UNDEFINED if estimate.exhaustive else UNDEFINED_OF_A_SAMPLE,
        )
    if not isinstance(threshold, Estimate) and (needed := examples_needed(estimate, operator, float(threshold))):
        return Verdict(
            "inconclusive",
            f"{shown} cannot show {SIGN[operator]} {limit} with {count(estimate.n)} examples",
            _more_examples(needed),
        )
    return Verdict("fail", f"{shown} {OPPOSITE[operator]} {limit}", _way_out(estimate, operator, threshold))


def examples_needed(estimate: Estimate, operator: Operator, threshold: float) -> float:
    """How many examples could meet the threshold where this n cannot; 0 where it is not for lack of examples."""
    if estimate.exhaustive or estimate.unit != "proportion" or estimate.k is None:
        return 0
    below = operator in ("<=", "<")
    best = (
        upper_bound(0, estimate.n, estimate.confidence)
        if below
        else lower_bound(estimate.n, estimate.n, estimate.confidence)
    )
    out_of_reach = best > threshold if below else best < threshold
    shown_false = estimate.low > threshold if below else estimate.high < threshold
    if not out_of_reach or shown_false:
        return 0
    certain = 1 - threshold if below else threshold
    return math.inf if certain in (0, 1) else math.ceil(math.log(1 - estimate.confidence) / math.log(certain))


def _more_examples(needed: float) -> str:
    if math.isinf(needed):
        return "No sample can show this: audit the whole training set (no --kdmem-sample)."
    return (
        f"A denominator of at least {count(int(needed))} examples would decide it: raise --kdmem-sample, or sample="
        " where the training set is declared."
    )


def _way_out(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> str:
    limit = threshold.value if isinstance(threshold, Estimate) else float(threshold)
    met = estimate.value <= limit if operator in ("<=", "<") else estimate.value >= limit
    if met and not estimate.exhaustive:
        return "The point estimate meets the threshold and its bound does not: audit a larger sample."
    if met and estimate.ambiguous:
        return "Only ambiguous examples stand against it: audit with --kdmem-dtype float32, and --kdmem-confirm."
    if estimate.metric == SHARE_AT_RISK:
        return (
            "Write a training set without what is at risk: kdmem prefilter TRAINING_SET --teacher … --out cleaned/"
            " (--recall 99% leaves out more)."
        )
    if estimate.metric == INHERITANCE_RATIO:
        return (
            "Learn from the teacher's logits (soft) rather than from text that it wrote, at a higher temperature, or"
            " leave what the teacher alone recites out of the training set."
        )
    if operator in (">=", ">"):
        return "The student memorizes too much for its baseline: raise the temperature, or train fewer epochs."
    if estimate.unit == "nats":
        return "Train the student longer or on more data: memorizing less by learning less is no gain."
    return "Deduplicate the training set, train fewer epochs, or distil soft at a higher temperature."
