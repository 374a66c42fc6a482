"""The bound of a ratio of paired rates, against enumerated tables, closed forms and the published score interval."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import beta, binomtest, multinomial, norm

from pytest_kdmem.metrics.paired_ratio import SEARCHED_SHARES, SHARE_OF_ERROR, ratio_is_refuted, ratio_lower_bound

CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
counts_of_pairs = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).filter(
    lambda counts: counts[0] + counts[1] > 0
)


@pytest.fixture(autouse=True)
def _computed_anew() -> None:
    """No bound is one that another test has left."""
    ratio_lower_bound.cache_clear()


def score_statistic(ratio: float, both: int, only_first: int, only_second: int) -> float:
    """The score statistic, its shares found by a numeric search for the greatest likelihood at this ratio."""

    def shares(second_alone: float) -> np.ndarray:
        shared = (1 - (1 + ratio) * second_alone) / ratio
        return np.array([shared, 1 - shared - second_alone, second_alone])

    def improbability(second_alone: float) -> float:
        return -float(np.array([both, only_first, only_second]) @ np.log(np.maximum(shares(second_alone), 1e-300)))

    limits = (max(0.0, 1 - ratio), 1 / (1 + ratio))
    likeliest = minimize_scalar(improbability, bounds=limits, method="bounded", options={"xatol": 1e-12}).x
    shared, _, second_alone = shares(likeliest)
    n = both + only_first + only_second
    variance = n * ratio * ((shared + second_alone) * (1 + ratio) - 2 * shared)
    return (both + only_first - ratio * (both + only_second)) / math.sqrt(max(variance, 1e-300))


def score_lower_bound(both: int, only_first: int, only_second: int, confidence: float) -> float:
    estimate, quantile = (both + only_first) / (both + only_second), norm.ppf(confidence)
    return brentq(
        lambda ratio: score_statistic(ratio, both, only_first, only_second) - quantile, 1e-3, estimate * (1 - 1e-6)
    )


@pytest.mark.parametrize(
    ("counts", "confidence", "low", "high"),
    [
        ((1, 1, 7), 0.975, 0.065, 0.907),  # Bentur et al. 2009, in Fagerland, Lydersen and Laake 2014
        ((446, 5, 16), 0.95, 0.958, 0.992),  # Tang, Tang and Chan 2003
    ],
)
def test_the_score_interval_of_these_tests_is_the_published_one(
    counts: tuple[int, int, int], confidence: float, low: float, high: float
) -> None:
    both, only_first, only_second = counts
    assert score_lower_bound(*counts, confidence) == pytest.approx(low, abs=1e-3)
    assert 1 / score_lower_bound(both, only_second, only_first, confidence) == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(
    "counts", [(60, 140, 40), (500, 1000, 250), (9500, 9500, 500), (0, 2000, 1000), (5, 3000, 2000)]
)
def test_where_counts_are_large_the_bound_is_close_to_the_score_interval(
    counts: tuple[int, int, int], confidence: float
) -> None:
    estimate, score = sum(counts[:2]) / (counts[0] + counts[2]), score_lower_bound(*counts, confidence)
    bound = ratio_lower_bound(*counts, confidence)
    assert bound <= score
    assert estimate - bound <= 1.08 * (estimate - score)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("memorized", [3, 8, 14])
def test_the_bound_is_exceeded_as_rarely_as_its_confidence_says_by_the_probability_of_every_table(
    memorized: int, confidence: float
) -> None:
    tables = [(both, first, memorized - both - first) for both, first in all_pairs(memorized)]
    bounds = np.array([ratio_lower_bound(*table, confidence) for table in tables])
    for ratio, overlap in product((0.5, 0.8, 1.0, 1.3, 2.0, 5.0), (0.0, 0.3, 0.6, 0.95)):
        both = overlap * min(1.0, ratio)
        shares = np.array([both, ratio - both, 1 - both]) / (ratio + 1 - both)
        exceeded = multinomial.pmf(tables, memorized, shares)[bounds > ratio * (1 + 1e-9)].sum()
        assert exceeded <= 1 - confidence


def is_refuted_by_enumeration(ratio: float, counts: tuple[int, int, int], confidence: float) -> bool:
    """The same test, its probabilities summed over every table of as many hits."""
    hits, error = sum(counts), 1 - confidence
    interval = binomtest(counts[2], hits).proportion_ci(1 - SHARE_OF_ERROR * error, "exact")
    least, greatest = max(interval.low, 1 - ratio), min(interval.high, 1 / (1 + ratio))
    if least > greatest:
        return True
    tables = np.array([(both, first, hits - both - first) for both, first in all_pairs(hits)])
    excess = ratio * tables[:, 1] - tables[:, 2]
    as_great = tables[excess >= ratio * counts[1] - counts[2] - 1e-9]
    greatest_probability = 0.0
    for second_alone in np.linspace(least, greatest, SEARCHED_SHARES):
        first_alone = min(max((second_alone + ratio - 1) / ratio, 0.0), 1 - second_alone)
        shares = [1 - first_alone - second_alone, first_alone, second_alone]
        greatest_probability = max(greatest_probability, multinomial.pmf(as_great, hits, shares).sum())
    return greatest_probability <= (1 - SHARE_OF_ERROR) * error


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(
    "counts", [(1, 1, 7), (2, 5, 1), (3, 0, 4), (0, 1, 5), (0, 6, 3), (5, 5, 0), (0, 2, 0)], ids=str
)
def test_the_bound_is_that_of_every_table_enumerated(counts: tuple[int, int, int], confidence: float) -> None:
    bound = ratio_lower_bound(*counts, confidence)
    assert is_refuted_by_enumeration(bound * (1 - 1e-4), counts, confidence)
    assert not is_refuted_by_enumeration(bound * (1 + 1e-4), counts, confidence)


def all_pairs(total: int) -> list[tuple[int, int]]:
    return [(both, first) for both in range(total + 1) for first in range(total + 1 - both)]


@pytest.mark.parametrize("only_first", [3, 30, 300])
def test_where_the_second_model_memorized_nothing_the_bound_is_nearly_that_of_a_proportion(only_first: int) -> None:
    """Nothing is shared, so that the first model's share of the hits is all that counts."""
    share = beta.ppf(0.95 * 0.05, only_first, 1)
    assert ratio_lower_bound(0, only_first, 0, 0.95) == pytest.approx(share / (1 - share), rel=1e-3)


def test_a_first_model_that_memorized_nothing_has_the_bound_0() -> None:
    assert ratio_lower_bound(0, 0, 5, 0.95) == ratio_lower_bound(0, 0, 0, 0.95) == 0.0


@given(counts_of_pairs, st.sampled_from(CONFIDENCES))
@settings(max_examples=40, deadline=None)
def test_the_bound_is_below_the_ratio_and_refuted_while_what_is_just_above_is_not(
    counts: tuple[int, int, int], confidence: float
) -> None:
    both, only_first, only_second = counts
    bound = ratio_lower_bound(*counts, confidence)
    assert bound > 0
    if both + only_second:
        assert bound < (both + only_first) / (both + only_second)
    assert ratio_is_refuted(bound, *counts, confidence)
    assert not ratio_is_refuted(bound * (1 + 1e-4), *counts, confidence)


@given(counts_of_pairs)
@settings(max_examples=40, deadline=None)
def test_a_hit_of_the_second_model_alone_lowers_the_bound_and_more_confidence_does(
    counts: tuple[int, int, int],
) -> None:
    both, only_first, only_second = counts
    bound = ratio_lower_bound(*counts, 0.95)
    assert ratio_lower_bound(both, only_first, only_second + 1, 0.95) < bound
    assert ratio_lower_bound(*counts, 0.99) < bound


def test_sharing_more_of_the_hits_makes_the_bound_closer() -> None:
    bounds = [ratio_lower_bound(both, 200 - both, 100 - both, 0.95) for both in (0, 50, 95)]
    assert bounds == sorted(bounds)
