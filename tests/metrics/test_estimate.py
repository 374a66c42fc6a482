"""Estimates against closed forms, hand sums and an independent bootstrap; gates read the bound on the safe side."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from pytest_kdmem.base.text import percent
from pytest_kdmem.base.typed_json import from_json
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Pairs, lower_bound, mcnemar, mean, proportion, quotient, upper_bound
from pytest_kdmem.metrics.estimate import Estimate

hits_of_n = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def rate(k: int, n: int, *, exhaustive: bool = False, **more: Any) -> Estimate:
    return proportion("memorization rate", "student", k=k, n=n, exhaustive=exhaustive, **more)


def reduction(both: int, only_first: int, only_second: int, n: int, *, exhaustive: bool = False) -> Estimate:
    pairs = Pairs(both, only_first, only_second)
    return quotient(
        "reduction",
        "student",
        found=pairs,
        least=pairs,
        greatest=pairs,
        n=n,
        exhaustive=exhaustive,
    )


def factor(value: float) -> Estimate:
    return Estimate("reduction", "student", value, value, value, None, 10, exhaustive=True, unit="factor")


@given(hits_of_n, st.sampled_from([0.9, 0.95, 0.99]))
def test_bounds_are_the_closed_form_of_clopper_and_pearson(case: tuple[int, int], confidence: float) -> None:
    k, n = case
    high = beta.ppf(confidence, k + 1, n - k) if k < n else 1.0
    low = beta.ppf(1 - confidence, k, n - k + 1) if k else 0.0
    assert upper_bound(k, n, confidence) == pytest.approx(high, rel=1e-6, abs=1e-12)
    assert lower_bound(k, n, confidence) == pytest.approx(low, rel=1e-6, abs=1e-12)


@given(hits_of_n)
def test_bounds_hold_the_value_between_them(case: tuple[int, int]) -> None:
    estimate = rate(*case)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(hits_of_n)
def test_one_more_hit_raises_both_bounds(case: tuple[int, int]) -> None:
    k, n = case
    if k < n:
        fewer, more = rate(k, n), rate(k + 1, n)
        assert fewer.low < more.low
        assert fewer.high < more.high


@pytest.mark.parametrize("truth", [0.001, 0.02, 0.3])
def test_each_bound_covers_the_truth_as_often_as_it_claims(truth: float) -> None:
    drawn, seen = np.unique(np.random.default_rng(1).binomial(500, truth, 4000), return_counts=True)
    estimates = [rate(int(k), 500) for k in drawn]
    noise = 3 * math.sqrt(0.05 * 0.95 / 4000)
    for held in ([e.high >= truth for e in estimates], [e.low <= truth for e in estimates]):
        assert (np.array(held) * seen).sum() / seen.sum() >= 0.95 - noise


def test_at_most_reads_the_upper_bound_and_at_least_the_lower() -> None:
    estimate = rate(19, 1000)
    middle_of_upper = (estimate.value + estimate.high) / 2
    middle_of_lower = (estimate.value + estimate.low) / 2
    assert not estimate <= middle_of_upper
    assert not estimate < middle_of_upper
    assert estimate <= estimate.high
    assert not estimate < estimate.high
    assert not estimate >= middle_of_lower
    assert not estimate > middle_of_lower
    assert estimate >= estimate.low
    assert not estimate > estimate.low


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_a_threshold_may_stand_on_either_side(kind: Any) -> None:
    estimate = rate(19, 1000)  # 1.90 %, bounds 1.26 % and 2.78 %
    assert kind(0.03) >= estimate
    assert kind(0.03) > estimate
    assert not kind(0.02) >= estimate
    assert kind(0.01) <= estimate
    assert kind(0.01) < estimate
    assert not kind(0.018) <= estimate


def test_two_estimates_compare_at_the_bounds_that_face_each_other() -> None:
    assert rate(1, 1000) <= rate(50, 1000)
    assert not rate(18, 1000) <= rate(19, 1000)
    assert rate(50, 1000) >= rate(1, 1000)
    assert not rate(19, 1000) >= rate(18, 1000)


def test_an_estimate_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(rate(0, 10))


@pytest.mark.parametrize("other", [True, None, "0.01", 1j])
def test_an_estimate_compares_with_numbers_only(other: Any) -> None:
    with pytest.raises(TypeError):
        _ = rate(0, 10) <= other


@given(st.floats(0, 1))
def test_an_undefined_figure_meets_no_threshold(threshold: float) -> None:
    undefined = rate(0, 0, exhaustive=True)
    assert math.isnan(undefined.value)
    assert not undefined <= threshold
    assert not undefined < threshold
    assert not undefined >= threshold
    assert not undefined > threshold


@pytest.mark.parametrize("threshold", [math.nan, 5, -0.1, 1.0001, math.inf])
def test_a_share_refuses_a_threshold_that_is_none(threshold: float) -> None:
    with pytest.raises(SpecError, match=r"must lie between 0 and 1 \(5% is 0.05\)"):
        _ = rate(0, 10) <= threshold


@pytest.mark.parametrize("number", [0, 0.5, Fraction(1, 2), Decimal("0.5"), np.float32(0.5)])
def test_an_estimate_equals_no_number(number: object) -> None:
    with pytest.raises(TypeError, match="equals no number"):
        _ = rate(5, 10) == number
    with pytest.raises(TypeError, match="equals no number"):
        _ = rate(5, 10) != number


def test_no_figure_compares_with_an_undefined_one() -> None:
    undefined = rate(0, 0, exhaustive=True)
    assert not rate(0, 100, exhaustive=True) <= undefined
    assert not rate(100, 100, exhaustive=True) >= undefined


def test_over_everything_only_ambiguous_examples_move_the_bounds() -> None:
    assert (rate(19, 1000, exhaustive=True).low, rate(19, 1000, exhaustive=True).high) == (0.019, 0.019)
    widened = rate(19, 1000, fewest=17, most=22, ambiguous=5, exhaustive=True)
    assert (widened.low, widened.value, widened.high) == (0.017, 0.019, 0.022)


def test_over_a_sample_ambiguous_examples_widen_the_bounds_further() -> None:
    widened = rate(19, 1000, fewest=17, most=22, ambiguous=5)
    assert (widened.low, widened.high) == (rate(17, 1000).low, rate(22, 1000).high)


@pytest.mark.parametrize(
    ("estimate", "printed"),
    [
        (rate(19, 1000), "1.90% [≤ 2.78%] (19 of 1 000)"),
        (rate(0, 1000), "0.00% [≤ 0.30%] (0 of 1 000)"),
        (rate(0, 1000, exhaustive=True), "0.00% [exact] (0 of 1 000)"),
        (rate(19, 1000, exhaustive=True), "1.90% (19 of 1 000)"),
        (rate(19, 1000, most=22, ambiguous=3, exhaustive=True), "1.90% [≤ 2.20%] (19 + 3 ambiguous of 1 000)"),
        (rate(12, 1_000_000, exhaustive=True), "0.0012% (12 of 1 000 000)"),
        (rate(0, 0), "undefined (0 of 0)"),
        (factor(2.4), "2.40 × (10 examples)"),
        (factor(math.inf), "infinite (10 examples)"),
    ],
)
def test_an_estimate_prints_with_its_bound_and_its_counts(estimate: Estimate, printed: str) -> None:
    assert str(estimate) == printed


@given(hits_of_n, st.booleans())
def test_nothing_found_never_prints_as_a_bare_zero(case: tuple[int, int], exhaustive: bool) -> None:
    assert str(rate(0, case[1], exhaustive=exhaustive)).startswith("0.00% [")


@given(st.floats(1e-9, 1))
def test_a_printed_percentage_is_within_half_of_its_last_digit_and_never_zero(value: float) -> None:
    shown = percent(value).rstrip("%")
    decimals = len(shown.split(".")[1])
    assert float(shown) > 0
    assert abs(float(shown) - 100 * value) <= 0.5001 * 10**-decimals


@pytest.mark.parametrize(
    "estimate",
    [
        rate(19, 1000, most=22, ambiguous=3),
        rate(0, 0),
        reduction(7, 9, 3, 1000),
        factor(math.inf),
        factor(math.nan),
        Estimate("loss", "student", 2.5, -math.inf, math.inf, None, 1, unit="nats"),
    ],
    ids=str,
)
def test_an_estimate_survives_strict_json(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_json(), allow_nan=False)
    back = from_json(Estimate, json.loads(text))
    unknown = {"low": -math.inf, "high": math.inf}  # a bound that is no number bounds nothing
    for name in Estimate.__dataclass_fields__:
        was, now = getattr(estimate, name), getattr(back, name)
        assert now == was or (now != now and was != was) or (was != was and now == unknown.get(name)), name


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_twice_the_smaller_binomial_tail(only_first: int, only_second: int) -> None:
    n, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(least + 1)) / 2**n
    assert mcnemar(only_first, only_second) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_the_quotient_of_two_rates_agrees_with_an_independent_bootstrap() -> None:
    both, only_first, only_second, n = 60, 140, 40, 5000
    first = np.zeros(n, bool)
    second = np.zeros(n, bool)
    first[: both + only_first] = True
    second[:both] = True
    second[both + only_first : both + only_first + only_second] = True
    random = np.random.default_rng(5)
    quotients = []
    for _ in range(3000):
        rows = random.integers(0, n, n)
        quotients.append(first[rows].sum() / second[rows].sum())
    estimate = reduction(both, only_first, only_second, n)
    assert estimate.value == 2.0
    assert estimate.low == pytest.approx(np.quantile(quotients, 0.05), rel=0.02)
    assert estimate.high == pytest.approx(np.quantile(quotients, 0.95), rel=0.02)


def test_the_lower_bound_of_a_quotient_rarely_exceeds_the_truth() -> None:
    random = np.random.default_rng(2)
    tables = random.multinomial(20_000, [0.002, 0.004, 0.001, 0.993], size=60)  # truth: 0.006 / 0.003
    lows = np.array([reduction(int(b), int(f), int(s), 20_000).low for b, f, s, _ in tables])
    assert (lows > 2.0).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 60)


def test_few_hits_fall_back_to_the_quotient_of_two_bounds_that_hold_together() -> None:
    estimate = reduction(2, 38, 1, 1000)
    assert estimate.low == pytest.approx(beta.ppf(0.025, 40, 961) / beta.ppf(0.975, 4, 997), rel=1e-6)
    assert estimate.high == pytest.approx(beta.ppf(0.975, 41, 960) / beta.ppf(0.025, 3, 998), rel=1e-6)


def test_a_student_that_recites_nothing_of_a_sample_has_a_finite_lower_bound() -> None:
    estimate = reduction(0, 30, 0, 1000)
    assert estimate.value == estimate.high == math.inf
    assert 1 < estimate.low < 10


def test_a_quotient_of_nothing_by_nothing_is_undefined() -> None:
    assert math.isnan(reduction(0, 0, 0, 1000).value)
    assert not reduction(0, 0, 0, 1000) >= 0


def test_a_mean_over_a_sample_has_the_bounds_of_students_t() -> None:
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(0).normal(3.0, 0.5, 40)
    estimate = mean("loss", "student", values, exhaustive=False)
    assert estimate.low == pytest.approx(ttest_1samp(values, 0, alternative="greater").confidence_interval(0.95).low)
    assert estimate.high == pytest.approx(ttest_1samp(values, 0, alternative="less").confidence_interval(0.95).high)
    assert mean("loss", "student", values, exhaustive=True).high == pytest.approx(values.mean())
