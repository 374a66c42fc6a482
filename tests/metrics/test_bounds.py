"""Bounds of proportions, quotients and means, against binomial tails, closed forms and hand sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from pytest_kdmem.metrics.bounds import (
    Counts,
    PairedCounts,
    PairedTable,
    estimate_mean,
    estimate_proportion,
    estimate_quotient,
    lower_bound,
    mcnemar,
    upper_bound,
)
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.mean_bounds import mean_lower_bound, mean_upper_bound
from pytest_kdmem.metrics.paired_ratio import ratio_lower_bound

hits_of_n = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def rate(counts: Counts, *, exhaustive: bool = False) -> Estimate:
    return estimate_proportion("memorization rate", "student", counts, exhaustive=exhaustive)


def reduction(both: int, only_first: int, only_second: int, n: int, *, exhaustive: bool = False) -> Estimate:
    counts = PairedCounts(both, only_first, only_second)
    return estimate_quotient("reduction", "student", PairedTable(counts, counts, counts, n), exhaustive=exhaustive)


@pytest.mark.parametrize("exhaustive", [True, False])
def test_an_estimate_says_what_was_measured_and_over_what(exhaustive: bool) -> None:
    names, counts = ("a metric", "a model"), PairedCounts(2, 3, 1)
    common = {"exhaustive": exhaustive, "confidence": 0.9}
    share = estimate_proportion(*names, Counts(3, 10, 2, 5, ambiguous=3), **common)
    quotient = estimate_quotient(*names, PairedTable(counts, counts, counts, 10, ambiguous=3), **common)
    mean = estimate_mean(*names, np.arange(10.0), **common)
    for estimate in (share, quotient, mean):
        assert (estimate.metric, estimate.subject, estimate.n) == (*names, 10)
        assert (estimate.exhaustive, estimate.confidence) == (exhaustive, 0.9)
    assert [estimate.k for estimate in (share, quotient, mean)] == [3, None, None]
    assert [estimate.ambiguous for estimate in (share, quotient, mean)] == [3, 3, 0]
    assert [estimate.unit for estimate in (share, quotient, mean)] == ["proportion", "factor", "nats"]


@given(hits_of_n, st.sampled_from([0.9, 0.95, 0.99]))
def test_a_bound_of_clopper_and_pearson_is_what_the_binomial_test_just_does_not_reject(
    case: tuple[int, int], confidence: float
) -> None:
    k, n = case
    high, low = upper_bound(k, n, confidence), lower_bound(k, n, confidence)
    assert high == 1.0 if k == n else binom.cdf(k, n, high) == pytest.approx(1 - confidence, rel=1e-9)
    assert low == 0.0 if k == 0 else binom.sf(k - 1, n, low) == pytest.approx(1 - confidence, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 7), (0, 10**9), (7, 10**9), (10**9 - 1, 10**9)])
def test_bounds_are_those_that_scipy_finds_by_search(k: int, n: int) -> None:
    below, above = (binomtest(k, n, alternative=side).proportion_ci(0.95, "exact") for side in ("greater", "less"))
    assert lower_bound(k, n, 0.95) == pytest.approx(below.low, rel=1e-6, abs=4e-12)
    assert upper_bound(k, n, 0.95) == pytest.approx(above.high, rel=1e-6, abs=4e-12)


@given(hits_of_n)
def test_the_value_lies_between_its_bounds(case: tuple[int, int]) -> None:
    estimate = rate(Counts(*case))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(hits_of_n)
def test_an_additional_hit_raises_both_bounds(case: tuple[int, int]) -> None:
    k, n = case
    if k < n:
        estimate, with_additional_hit = rate(Counts(k, n)), rate(Counts(k + 1, n))
        assert estimate.low < with_additional_hit.low
        assert estimate.high < with_additional_hit.high


@pytest.mark.parametrize("truth", [0.001, 0.02, 0.3])
def test_each_bound_covers_the_truth_as_often_as_its_confidence_says(truth: float) -> None:
    hits, frequencies = np.unique(np.random.default_rng(1).binomial(500, truth, 4000), return_counts=True)
    estimates = [rate(Counts(int(k), 500)) for k in hits]
    noise = 3 * math.sqrt(0.05 * 0.95 / 4000)
    for covered in ([e.high >= truth for e in estimates], [e.low <= truth for e in estimates]):
        assert (np.array(covered) * frequencies).sum() / frequencies.sum() >= 0.95 - noise


def test_over_a_whole_training_set_only_ambiguous_examples_move_the_bounds() -> None:
    exact = rate(Counts(19, 1000), exhaustive=True)
    assert (exact.low, exact.high) == (0.019, 0.019)
    widened = rate(Counts(19, 1000, fewest=17, most=22, ambiguous=5), exhaustive=True)
    assert (widened.low, widened.value, widened.high) == (0.017, 0.019, 0.022)
    assert widened.ambiguous == 5


def test_over_a_sample_ambiguous_examples_widen_the_bounds_further() -> None:
    widened = rate(Counts(19, 1000, fewest=17, most=22, ambiguous=5))
    assert (widened.low, widened.high) == (rate(Counts(17, 1000)).low, rate(Counts(22, 1000)).high)


def test_a_proportion_of_no_examples_is_undefined_and_could_be_anything() -> None:
    for exhaustive in (False, True):
        undefined = rate(Counts(0, 0), exhaustive=exhaustive)
        assert math.isnan(undefined.value)
        assert (undefined.low, undefined.high) == (0, 1)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_twice_the_smaller_binomial_tail(only_first: int, only_second: int) -> None:
    n, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(least + 1)) / 2**n
    assert mcnemar(only_first, only_second) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_over_a_sample_a_quotient_has_the_bounds_of_the_paired_counts() -> None:
    estimate = reduction(60, 140, 40, 5000)
    assert estimate.value == 2.0
    assert estimate.low == ratio_lower_bound(60, 140, 40, 0.95)
    assert estimate.high == 1 / ratio_lower_bound(60, 40, 140, 0.95)


def test_ambiguous_examples_move_each_bound_of_a_quotient() -> None:
    table = PairedTable(PairedCounts(60, 140, 40), PairedCounts(60, 130, 50), PairedCounts(60, 150, 30), 5000, 20)
    estimate = estimate_quotient("reduction", "student", table, exhaustive=False, confidence=0.99)
    assert (estimate.value, estimate.ambiguous, estimate.confidence) == (2.0, 20, 0.99)
    assert estimate.low == ratio_lower_bound(60, 130, 50, 0.99)
    assert estimate.high == 1 / ratio_lower_bound(60, 30, 150, 0.99)


def test_a_baseline_that_recites_nothing_of_a_sample_has_no_reduction_to_show() -> None:
    estimate = reduction(0, 0, 30, 1000)
    assert estimate.value == estimate.low == 0.0
    assert 0 < estimate.high < 1


def test_a_student_that_recites_nothing_of_a_sample_has_a_finite_lower_bound() -> None:
    estimate = reduction(0, 30, 0, 1000)
    assert estimate.value == estimate.high == math.inf
    assert 1 < estimate.low < 10


def test_a_quotient_of_nothing_by_nothing_is_undefined() -> None:
    assert math.isnan(reduction(0, 0, 0, 1000).value)
    assert not reduction(0, 0, 0, 1000) >= 0


def test_over_a_whole_training_set_a_quotient_is_exact() -> None:
    estimate = reduction(10, 14, 2, 1000, exhaustive=True)
    assert estimate.low == estimate.value == estimate.high == 2.0
    undefined = reduction(0, 0, 0, 1000, exhaustive=True)
    assert (undefined.low, undefined.high) == (0.0, math.inf)


def test_a_mean_over_a_sample_has_the_bounds_of_random_weights() -> None:
    values = np.random.default_rng(0).normal(3.0, 0.5, 40)
    estimate = estimate_mean("loss", "student", values, exhaustive=False, confidence=0.99)
    assert (estimate.n, estimate.confidence, estimate.value) == (40, 0.99, values.mean())
    assert estimate.low == mean_lower_bound(values, 0.99)
    assert estimate.high == mean_upper_bound(values, 0.99)
    exact = estimate_mean("loss", "student", values, exhaustive=True)
    assert exact.low == exact.value == exact.high


def test_a_single_sampled_loss_says_little_of_the_mean() -> None:
    estimate = estimate_mean("loss", "student", np.array([2.5]), exhaustive=False)
    assert estimate.low < 0.2
    assert estimate.high > 10


@pytest.mark.parametrize("exhaustive", [True, False])
def test_the_mean_of_no_losses_is_undefined_and_could_be_anything(exhaustive: bool) -> None:
    estimate = estimate_mean("loss", "student", np.array([]), exhaustive=exhaustive)
    assert math.isnan(estimate.value)
    assert (estimate.low, estimate.high) == (0.0, math.inf)
