"""Counts and samples → Estimates: exact bounds where there are any, a bootstrap where not, and the paired test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, multinomial, t

from pytest_kdmem.metrics.estimate import Estimate

# Fewer hits than this and a bootstrap of them is too narrow to trust.
FEWEST_FOR_BOOTSTRAP = 10
RESAMPLES = 9999


def proportion(
    metric: str,
    subject: str,
    *,
    k: int,
    n: int,
    fewest: int | None = None,
    most: int | None = None,
    ambiguous: int = 0,
    exhaustive: bool,
    confidence: float = 0.95,
) -> Estimate:
    """k of n, with Clopper–Pearson bounds over a sample and exact ones over everything.

    Args:
        fewest: hits if every ambiguous example were a miss; ``k`` if None.
        most: hits if every ambiguous example were one; ``k`` if None.
    """
    low_k, high_k = k if fewest is None else fewest, k if most is None else most
    if n == 0:
        value, low, high = math.nan, 0.0, 1.0
    elif exhaustive:
        value, low, high = k / n, low_k / n, high_k / n
    else:
        value = k / n
        low, high = lower_bound(low_k, n, confidence), upper_bound(high_k, n, confidence)
    return Estimate(metric, subject, value, low, high, k, n, ambiguous, exhaustive, confidence)


def lower_bound(k: int, n: int, confidence: float) -> float:
    """One-sided Clopper–Pearson lower bound of a proportion."""
    return float(binomtest(k, n, alternative="greater").proportion_ci(confidence, "exact").low)


def upper_bound(k: int, n: int, confidence: float) -> float:
    """One-sided Clopper–Pearson upper bound of a proportion."""
    return float(binomtest(k, n, alternative="less").proportion_ci(confidence, "exact").high)


class Pairs(NamedTuple):
    """How many examples two models memorized both, the first alone, and the second alone."""

    both: int
    only_first: int
    only_second: int

    @property
    def first(self) -> int:
        return self.both + self.only_first

    @property
    def second(self) -> int:
        return self.both + self.only_second


def quotient(
    metric: str,
    subject: str,
    *,
    found: Pairs,
    least: Pairs,
    greatest: Pairs,
    n: int,
    ambiguous: int = 0,
    exhaustive: bool,
    confidence: float = 0.95,
) -> Estimate:
    """Quotient of two rates over the same n examples: first / second.

    Over a sample the bounds come from a bootstrap of the paired table; where either count is small, from the quotient
    of two Clopper–Pearson bounds that hold together at ``confidence``.

    Args:
        found: the paired table.
        least: the table that makes the quotient least, as ambiguous examples allow.
        greatest: the one that makes it greatest.
    """
    value = _divide(found.first, found.second, undefined=math.nan)
    low = _quotient_bound(least, n, confidence, exhaustive, upper=False)
    high = _quotient_bound(greatest, n, confidence, exhaustive, upper=True)
    return Estimate(metric, subject, value, low, high, None, n, ambiguous, exhaustive, confidence, "factor")


def _quotient_bound(pairs: Pairs, n: int, confidence: float, exhaustive: bool, *, upper: bool) -> float:
    """The quotient's upper or lower bound; 0 / 0 could be anything, so it stands for the farthest."""
    undefined = math.inf if upper else 0.0
    if exhaustive or n == 0:
        return _divide(pairs.first, pairs.second, undefined=undefined)
    if min(pairs.first, pairs.second) >= FEWEST_FOR_BOOTSTRAP:
        table = np.array([*pairs, n - sum(pairs)]) / n
        drawn = multinomial.rvs(n, table, size=RESAMPLES, random_state=np.random.default_rng(0))
        quotients = (drawn[:, 0] + drawn[:, 1]) / np.maximum(drawn[:, 0] + drawn[:, 2], 1e-12)
        return float(np.quantile(quotients, confidence if upper else 1 - confidence))
    each = 1 - (1 - confidence) / 2
    first, second = (upper_bound, lower_bound) if upper else (lower_bound, upper_bound)
    return _divide(first(pairs.first, n, each), second(pairs.second, n, each), undefined=undefined)


def mean(
    metric: str, subject: str, values: npt.NDArray[np.float64], *, exhaustive: bool, confidence: float = 0.95
) -> Estimate:
    """Mean of a loss in nats, with Student's t bounds over a sample."""
    n = len(values)
    value = float(np.mean(values, dtype=np.float64)) if n else math.nan
    margin = 0.0
    if not exhaustive:
        margin = float(t.ppf(confidence, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return Estimate(metric, subject, value, value - margin, value + margin, None, n, 0, exhaustive, confidence, "nats")


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p-value of two models over the same examples, from the pairs on which they differ."""
    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


def _divide(numerator: float, denominator: float, *, undefined: float) -> float:
    if denominator == 0:
        return undefined if numerator == 0 else math.inf
    return numerator / denominator
