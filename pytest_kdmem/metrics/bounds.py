"""Compute estimates with confidence bounds from counts and samples, and the exact test of McNemar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, multinomial, t

from pytest_kdmem.metrics.estimate import Estimate

# With fewer hits than this, the interval of a bootstrap is too narrow to trust.
FEWEST_FOR_BOOTSTRAP = 10
RESAMPLES = 9999


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
    """Return the one-sided Clopper–Pearson lower bound of a proportion."""
    return float(binomtest(k, n, alternative="greater").proportion_ci(confidence, "exact").low)


def upper_bound(k: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson upper bound of a proportion."""
    return float(binomtest(k, n, alternative="less").proportion_ci(confidence, "exact").high)


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

    Over a sample the bounds come from a bootstrap of the paired table. If either count is small, they are the quotient
    of two Clopper–Pearson bounds that hold together at ``confidence``.
    """
    value = _divide(table.observed.first, table.observed.second, undefined=math.nan)
    if exhaustive or table.n == 0:
        low = _divide(table.least.first, table.least.second, undefined=0.0)
        high = _divide(table.greatest.first, table.greatest.second, undefined=math.inf)
    else:
        low = _sampled_quotient_bound(table.least, table.n, confidence, upper=False)
        high = _sampled_quotient_bound(table.greatest, table.n, confidence, upper=True)
    return Estimate(metric, subject, value, low, high, None, table.n, table.ambiguous, exhaustive, confidence, "factor")


def _sampled_quotient_bound(counts: PairedCounts, n: int, confidence: float, *, upper: bool) -> float:
    """Return the upper or lower bound of first / second over a sample; 0 / 0 counts as infinity or 0."""
    if min(counts.first, counts.second) >= FEWEST_FOR_BOOTSTRAP:
        shares = np.array([*counts, n - sum(counts)]) / n
        resamples = multinomial.rvs(n, shares, size=RESAMPLES, random_state=np.random.default_rng(0))
        quotients = (resamples[:, 0] + resamples[:, 1]) / np.maximum(resamples[:, 0] + resamples[:, 2], 1e-12)
        return float(np.quantile(quotients, confidence if upper else 1 - confidence))
    # Bonferroni: two bounds, each of half the error, hold together at `confidence`.
    single_confidence = 1 - (1 - confidence) / 2
    first_bound, second_bound = (upper_bound, lower_bound) if upper else (lower_bound, upper_bound)
    return _divide(
        first_bound(counts.first, n, single_confidence),
        second_bound(counts.second, n, single_confidence),
        undefined=math.inf if upper else 0.0,
    )


def estimate_mean(
    metric: str, subject: str, values: npt.NDArray[np.float64], *, exhaustive: bool, confidence: float = 0.95
) -> Estimate:
    """Estimate the mean of losses ``[n]`` in nats, with bounds of Student's t distribution over a sample."""
    n = len(values)
    value = float(np.mean(values, dtype=np.float64)) if n else math.nan
    margin = 0.0
    if not exhaustive:
        margin = float(t.ppf(confidence, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return Estimate(metric, subject, value, value - margin, value + margin, None, n, 0, exhaustive, confidence, "nats")


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact McNemar p-value, from the examples that only one of two models memorized."""
    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


def _divide(numerator: float, denominator: float, *, undefined: float) -> float:
    """Divide; x / 0 is infinity, and 0 / 0 is ``undefined``."""
    if denominator == 0:
        return undefined if numerator == 0 else math.inf
    return numerator / denominator
