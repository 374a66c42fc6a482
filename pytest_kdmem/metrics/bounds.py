"""Compute estimates with confidence bounds from counts and samples, and the exact test of McNemar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.mean_bounds import mean_lower_bound, mean_upper_bound
from pytest_kdmem.metrics.paired_ratio import ratio_lower_bound


@dataclass(frozen=True)
class Counts:
    """Hits among n examples, and the range of hits that ambiguous examples allow.

    Attributes:
        k: Number of hits.
        n: Number of examples.
        fewest: Number of hits if every ambiguous example were a miss; ``k`` if None.
        most: Number of hits if every ambiguous example were a hit; ``k`` if None.
        ambiguous: Number of ambiguous examples.
    """

    k: int
    n: int
    fewest: int | None = None
    most: int | None = None
    ambiguous: int = 0


def estimate_proportion(
    metric: str, subject: str, counts: Counts, *, exhaustive: bool, confidence: float = 0.95
) -> Estimate:
    """Estimate the proportion k / n, with Clopper–Pearson bounds over a sample.

    Args:
        metric: Name of the estimated quantity.
        subject: Role or name of the model or data set that it describes.
        counts: Hits among the examples.
        exhaustive: Whether the examples are the whole training set. If so, only ambiguous examples widen the bounds.
        confidence: Confidence level of each one-sided bound.
    """
    k, n = counts.k, counts.n
    fewest = k if counts.fewest is None else counts.fewest
    most = k if counts.most is None else counts.most
    if n == 0:
        value, low, high = math.nan, 0.0, 1.0
    elif exhaustive:
        value, low, high = k / n, fewest / n, most / n
    else:
        value, low, high = k / n, lower_bound(fewest, n, confidence), upper_bound(most, n, confidence)
    return Estimate(metric, subject, value, low, high, k, n, counts.ambiguous, exhaustive, confidence)


def lower_bound(k: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson lower bound of a proportion: a quantile of the beta distribution."""
    from scipy.special import betaincinv  # a third of what a command imports that reads exact figures

    return float(betaincinv(k, n - k + 1, 1 - confidence)) if k else 0.0


def upper_bound(k: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson upper bound of a proportion: a quantile of the beta distribution."""
    from scipy.special import betaincinv

    return float(betaincinv(k + 1, n - k, confidence)) if k < n else 1.0


class PairedCounts(NamedTuple):
    """Number of examples that two models both memorized, and that only the first or only the second memorized."""

    both: int
    only_first: int
    only_second: int

    @property
    def first(self) -> int:
        """Number of examples that the first model memorized."""
        return self.both + self.only_first

    @property
    def second(self) -> int:
        """Number of examples that the second model memorized."""
        return self.both + self.only_second

    @property
    def swapped(self) -> PairedCounts:
        """The same counts with the two models in each other's place."""
        return PairedCounts(self.both, self.only_second, self.only_first)


@dataclass(frozen=True)
class PairedTable:
    """What two models memorized of the same n examples, and how far ambiguous examples can move their quotient.

    Attributes:
        observed: Counts with every verdict as observed.
        least: Counts with the ambiguous verdicts that make the quotient first / second least.
        greatest: Counts with the ambiguous verdicts that make it greatest.
        n: Number of examples.
        ambiguous: Number of examples with an ambiguous verdict of either model.
    """

    observed: PairedCounts
    least: PairedCounts
    greatest: PairedCounts
    n: int
    ambiguous: int = 0


def estimate_quotient(
    metric: str, subject: str, table: PairedTable, *, exhaustive: bool, confidence: float = 0.95
) -> Estimate:
    """Estimate the quotient of two rates over the same examples: rate of the first / rate of the second.

    Over a sample each bound holds at ``confidence`` whatever the counts, and however much the two models share.
    """
    value = _divide(table.observed.first, table.observed.second, undefined=math.nan)
    if exhaustive or table.n == 0:
        low = _divide(table.least.first, table.least.second, undefined=0.0)
        high = _divide(table.greatest.first, table.greatest.second, undefined=math.inf)
    else:
        low = ratio_lower_bound(*table.least, confidence)
        inverse = ratio_lower_bound(*table.greatest.swapped, confidence)
        high = 1 / inverse if inverse else math.inf
    return Estimate(metric, subject, value, low, high, None, table.n, table.ambiguous, exhaustive, confidence, "factor")


def estimate_mean(
    metric: str, subject: str, values: npt.NDArray[np.float64], *, exhaustive: bool, confidence: float = 0.95
) -> Estimate:
    """Estimate the mean of losses ``[n]`` in nats, with bounds over a sample that hold however they are distributed."""
    n = len(values)
    value = float(np.mean(values, dtype=np.float64)) if n else math.nan
    if n == 0:
        low, high = 0.0, math.inf
    elif exhaustive:
        low = high = value
    else:
        low, high = mean_lower_bound(values, confidence), mean_upper_bound(values, confidence)
    return Estimate(metric, subject, value, low, high, None, n, 0, exhaustive, confidence, "nats")


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact McNemar p-value, from the examples that only one of two models memorized."""
    return min(1.0, 2 * sign_test(max(only_first, only_second), only_first + only_second))


def sign_test(k: int, n: int) -> float:
    """Return the probability that at least k of n differences go one way if both ways are equally likely."""
    from scipy.special import betainc

    return float(betainc(k, n - k + 1, 0.5)) if k else 1.0


def _divide(numerator: float, denominator: float, *, undefined: float) -> float:
    """Divide; x / 0 is infinity, and 0 / 0 is ``undefined``."""
    if denominator == 0:
        return undefined if numerator == 0 else math.inf
    return numerator / denominator
