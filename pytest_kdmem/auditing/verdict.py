"""Decides the comparisons of an audit: pass, fail or inconclusive."""

from __future__ import annotations

import math

from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate, satisfies
from pytest_kdmem.metrics.verdict import Verdict


def judge(comparison: Comparison) -> Verdict:
    """Decide a comparison.

    It is ``inconclusive`` if either side is undefined, or if no outcome over this many examples could meet the
    threshold.
    """
    if comparison.verdict is not None:
        return comparison.verdict
    estimate, operator, threshold = comparison.estimate, comparison.operator, comparison.threshold
    if satisfies(estimate, operator, threshold):
        return Verdict("pass")
    if math.isnan(estimate.value) or (isinstance(threshold, Estimate) and math.isnan(threshold.value)):
        return Verdict("inconclusive", defined=False)
    if not isinstance(threshold, Estimate) and (needed := examples_needed(estimate, operator, threshold)):
        return Verdict("inconclusive", examples_needed=needed)
    return Verdict("fail")


def examples_needed(estimate: Estimate, operator: Operator, threshold: float) -> float:
    """The least number of examples with which a comparison could hold that cannot hold over ``estimate.n``.

    Returns:
        infinity if no sample can show it; 0 if the number of examples is not what decides.
    """
    if estimate.exhaustive or estimate.unit != "proportion":
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
    return math.inf if certain == 1 else math.ceil(math.log(1 - estimate.confidence) / math.log(certain))
