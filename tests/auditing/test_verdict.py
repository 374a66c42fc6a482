"""Comparisons pass, fail or are inconclusive."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.verdict import Verdict
from tests.auditing.estimates import rate, reduction

OPERATORS: tuple[Operator, ...] = ("<=", "<", ">=", ">")


def outcome(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> str:
    return judge(Comparison(estimate, operator, threshold)).outcome


def examples_needed(estimate: Estimate, operator: Operator, threshold: float) -> float:
    return judge(Comparison(estimate, operator, threshold)).examples_needed


@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from(OPERATORS),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_comparison_passes_exactly_where_the_bound_meets_the_threshold(
    hits_of: tuple[int, int], operator: Operator, threshold: float, exhaustive: bool
) -> None:
    k, n = hits_of
    estimate = rate(k, n, exhaustive=exhaustive)
    bound = estimate.high if operator in ("<=", "<") else estimate.low
    held = {"<=": bound <= threshold, "<": bound < threshold, ">=": bound >= threshold, ">": bound > threshold}
    assert (outcome(estimate, operator, threshold) == "pass") == held[operator]


def test_a_sample_fails_where_its_bound_exceeds_the_threshold() -> None:
    assert outcome(rate(3, 1000), "<=", 0.01) == "pass"
    assert outcome(rate(9, 1000), "<=", 0.01) == "fail"  # 0.90 %, and its bound is 1.56 %
    assert outcome(rate(19, 1000), "<=", 0.01) == "fail"


def test_over_the_whole_set_the_value_itself_decides() -> None:
    assert outcome(rate(10, 1000, exhaustive=True), "<=", 0.01) == "pass"
    assert outcome(rate(11, 1000, exhaustive=True), "<=", 0.01) == "fail"
    assert outcome(rate(0, 3, exhaustive=True), "<=", 0.0) == "pass"


def test_ambiguous_examples_alone_can_fail_a_comparison() -> None:
    assert outcome(rate(10, 1000, exhaustive=True, ambiguous=1), "<=", 0.01) == "fail"


@given(st.floats(1e-5, 0.5))
@settings(max_examples=50)
def test_the_examples_needed_would_just_decide_the_comparison(threshold: float) -> None:
    needed = math.ceil(math.log(0.05) / math.log(1 - threshold))
    assert outcome(rate(0, 1), "<=", threshold) == "inconclusive"
    assert examples_needed(rate(0, 1), "<=", threshold) == needed
    assert outcome(rate(0, needed), "<=", threshold) == "pass"
    assert outcome(rate(0, needed - 1), "<=", threshold) == "inconclusive"


def test_a_lowest_share_out_of_reach_needs_more_examples() -> None:
    assert outcome(rate(10, 10), ">=", 0.9) == "inconclusive"
    assert examples_needed(rate(10, 10), ">=", 0.9) == 29
    assert outcome(rate(29, 29), ">=", 0.9) == "pass"
    assert outcome(rate(28, 28), ">=", 0.9) == "inconclusive"


def test_a_lowest_share_that_this_many_examples_could_have_shown_fails() -> None:
    assert outcome(rate(45, 100), ">=", 0.5) == "fail"  # its bounds are 37 % and 54 %


@pytest.mark.parametrize(("operator", "k"), [("<=", 1), (">=", 99)])
def test_a_threshold_that_the_best_outcome_just_meets_is_in_reach(operator: Operator, k: int) -> None:
    best = rate(0, 100).high if operator == "<=" else rate(100, 100).low
    assert outcome(rate(k, 100), operator, best) == "fail"


@pytest.mark.parametrize(("operator", "k"), [("<=", 2), ("<", 2), (">=", 98), (">", 98)])
def test_a_threshold_that_the_best_outcome_alone_meets_is_in_reach(operator: Operator, k: int) -> None:
    threshold = 0.04 if "<" in operator else 0.96  # 100 examples show less than 2.95 % at best, 4.66 % at second best
    assert outcome(rate(k, 100), operator, threshold) == "fail"


@pytest.mark.parametrize("operator", OPERATORS)
def test_too_few_examples_decide_nothing_whichever_way_a_threshold_is_written(operator: Operator) -> None:
    best, threshold = (rate(0, 10), 0.01) if "<" in operator else (rate(10, 10), 0.99)
    assert outcome(best, operator, threshold) == "inconclusive"
    assert examples_needed(best, operator, threshold) == 299


@pytest.mark.parametrize(("operator", "k"), [("<=", 1), (">=", 9)])
def test_a_bound_that_equals_the_threshold_does_not_show_it_to_be_false(operator: Operator, k: int) -> None:
    estimate = rate(k, 10)
    farthest = estimate.low if operator == "<=" else estimate.high
    assert outcome(estimate, operator, farthest) == "inconclusive"


def test_no_sample_can_show_that_nothing_is_memorized() -> None:
    assert outcome(rate(0, 1000), "<=", 0.0) == "inconclusive"
    assert examples_needed(rate(0, 1000), "<=", 0.0) == math.inf


def test_what_the_data_show_to_be_false_fails_however_few_examples_there_are() -> None:
    assert outcome(rate(9, 20), "<=", 0.01) == "fail"
    assert outcome(rate(1, 20), ">=", 0.99) == "fail"


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("exhaustive", [True, False])
def test_an_undefined_figure_is_inconclusive(operator: Operator, exhaustive: bool) -> None:
    undefined = rate(0, 0, exhaustive=exhaustive)
    assert judge(Comparison(undefined, operator, 0.5)) == Verdict("inconclusive", defined=False)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_comparison_with_an_undefined_estimate_never_passes(operator: Operator) -> None:
    assert outcome(rate(0, 100, exhaustive=True), operator, rate(0, 0, exhaustive=True)) == "inconclusive"


def test_a_threshold_that_is_not_a_number_is_never_met() -> None:
    assert outcome(rate(0, 1000, exhaustive=True), "<=", math.nan) != "pass"


@pytest.mark.parametrize(("operator", "threshold"), [("<=", -0.1), (">=", 1.5)])
def test_a_threshold_beyond_all_rates_needs_no_negative_number_of_examples(
    operator: Operator, threshold: float
) -> None:
    assert outcome(rate(5, 10), operator, threshold) != "pass"
    assert examples_needed(rate(5, 10), operator, threshold) >= 0


def test_a_reduction_passes_by_its_lower_bound() -> None:
    assert outcome(reduction(2.4, 2.1, 3.6), ">=", 2) == "pass"
    assert outcome(reduction(2.4, 1.62, 3.6), ">=", 2) == "fail"


def test_two_models_compare_by_the_bounds_that_face_each_other() -> None:
    assert outcome(rate(1, 1000), "<=", rate(50, 1000, subject="baseline")) == "pass"
    assert outcome(rate(18, 1000), "<=", rate(19, 1000, subject="baseline")) == "fail"


def test_a_verdict_that_comes_with_a_comparison_is_final() -> None:
    failed = Verdict("fail")
    assert judge(Comparison(rate(0, 1000, exhaustive=True), "<=", 1.0, failed)) is failed
