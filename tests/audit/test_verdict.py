"""Gates pass, fail or are inconclusive, and their first line tells it all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.verdict import judge
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate, Operator


def rate(k: int, n: int, *, subject: str = "student", exhaustive: bool = False, ambiguous: int = 0) -> Estimate:
    counts = Counts(k, n, most=k + ambiguous, ambiguous=ambiguous)
    return estimate_proportion("memorization rate", subject, counts, exhaustive=exhaustive)


def factor(value: float, low: float, high: float) -> Estimate:
    return Estimate("reduction", "student", value, low, high, None, 1000, unit="factor")


def test_a_gate_passes_where_the_bound_meets_the_threshold() -> None:
    verdict = judge(rate(3, 1000), "<=", 0.01)
    assert (verdict.outcome, verdict.next_step) == ("pass", "")
    assert verdict.reason == "memorization rate of student 0.30% [≤ 0.77%] (3 of 1 000) ≤ 1.00%"


def test_a_failing_sample_says_figure_bound_counts_and_threshold_in_its_first_line() -> None:
    verdict = judge(rate(19, 1000), "<=", 0.01)
    assert verdict.outcome == "fail"
    assert verdict.reason == "memorization rate of student 1.90% [≤ 2.78%] (19 of 1 000) > 1.00%"
    assert "\n" not in verdict.next_step
    assert verdict.next_step.endswith(".")


def test_a_value_that_meets_the_threshold_where_its_bound_does_not_fails_for_want_of_data() -> None:
    verdict = judge(rate(9, 1000), "<=", 0.01)
    assert verdict.outcome == "fail"
    assert "larger sample" in verdict.next_step


def test_over_everything_the_value_itself_decides() -> None:
    assert judge(rate(10, 1000, exhaustive=True), "<=", 0.01).outcome == "pass"
    assert judge(rate(11, 1000, exhaustive=True), "<=", 0.01).outcome == "fail"
    assert judge(rate(0, 3, exhaustive=True), "<=", 0.0).outcome == "pass"


def test_ambiguous_examples_alone_can_fail_a_gate_and_are_named() -> None:
    verdict = judge(rate(10, 1000, exhaustive=True, ambiguous=1), "<=", 0.01)
    assert verdict.outcome == "fail"
    assert "1 ambiguous" in verdict.reason
    assert "ambiguous" in verdict.next_step


@given(st.floats(1e-5, 0.5))
@settings(max_examples=50)
def test_the_number_of_examples_named_would_just_decide_it(threshold: float) -> None:
    verdict = judge(rate(0, 1), "<=", threshold)
    assert verdict.outcome == "inconclusive"
    needed = math.ceil(math.log(0.05) / math.log(1 - threshold))
    assert f"at least {count(needed)} examples" in verdict.next_step
    assert judge(rate(0, needed), "<=", threshold).outcome == "pass"
    assert judge(rate(0, needed - 1), "<=", threshold).outcome == "inconclusive"


def test_a_lowest_share_out_of_reach_names_the_examples_that_would_decide_it() -> None:
    verdict = judge(rate(10, 10), ">=", 0.9)
    assert verdict.outcome == "inconclusive"
    assert "at least 29 examples" in verdict.next_step
    assert judge(rate(29, 29), ">=", 0.9).outcome == "pass"
    assert judge(rate(28, 28), ">=", 0.9).outcome == "inconclusive"


def test_no_sample_can_show_that_nothing_is_memorized() -> None:
    verdict = judge(rate(0, 1000), "<=", 0.0)
    assert verdict.outcome == "inconclusive"
    assert "No sample" in verdict.next_step


def test_what_the_data_show_to_be_false_fails_however_few_they_are() -> None:
    assert judge(rate(9, 20), "<=", 0.01).outcome == "fail"
    assert judge(rate(1, 20), ">=", 0.99).outcome == "fail"


@pytest.mark.parametrize("operator", ["<=", "<", ">=", ">"])
def test_an_undefined_figure_is_inconclusive(operator: Operator) -> None:
    for exhaustive in (True, False):
        verdict = judge(rate(0, 0, exhaustive=exhaustive), operator, 0.5)
        assert verdict.outcome == "inconclusive"
        assert "undefined (0 of 0)" in verdict.reason


def test_a_threshold_that_is_not_a_number_is_never_met() -> None:
    assert judge(rate(0, 1000, exhaustive=True), "<=", math.nan).outcome != "pass"


@pytest.mark.parametrize(("operator", "threshold"), [("<=", -0.1), (">=", 1.5)])
def test_a_threshold_beyond_all_rates_asks_for_no_negative_number_of_examples(
    operator: Operator, threshold: float
) -> None:
    verdict = judge(rate(5, 10), operator, threshold)
    assert verdict.outcome != "pass"
    assert "at least -" not in verdict.next_step


def test_a_reduction_that_is_not_shown_fails_and_shows_its_lower_bound() -> None:
    verdict = judge(factor(2.4, 1.62, 3.6), ">=", 2)
    assert verdict.outcome == "fail"
    assert verdict.reason == "reduction of student 2.40 × [≥ 1.62 ×] (1 000 examples) < 2.00 ×"


def test_the_bound_in_the_first_line_is_the_one_that_was_compared() -> None:
    share = rate(676, 706)  # 95.75 %, bounds 94.28 % and 96.92 %
    verdict = judge(share, ">=", 0.95)
    assert verdict.outcome == "fail"
    assert "94.28%" in verdict.reason


def test_one_model_against_another_passes_where_their_bounds_part() -> None:
    verdict = judge(rate(1, 1000), "<=", rate(50, 1000, subject="baseline"))
    assert verdict.outcome == "pass"
    assert "5.00% [≥ 3.92%] (50 of 1 000) of baseline" in verdict.reason


def test_one_model_against_another_fails_where_their_bounds_meet() -> None:
    verdict = judge(rate(18, 1000), "<=", rate(19, 1000, subject="baseline"))
    assert verdict.outcome == "fail"
    assert verdict.reason.endswith("> 1.90% [≥ 1.25%] (19 of 1 000) of baseline")


def test_one_model_against_another_that_is_undefined_never_passes() -> None:
    assert judge(rate(0, 100, exhaustive=True), "<=", rate(0, 0, exhaustive=True)).outcome != "pass"


@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from(["<=", "<", ">=", ">"]),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_gate_passes_exactly_where_the_comparison_holds(
    case: tuple[int, int], operator: Operator, threshold: float, exhaustive: bool
) -> None:
    estimate = rate(*case, exhaustive=exhaustive)
    bound = estimate.high if operator in ("<=", "<") else estimate.low
    held = {"<=": bound <= threshold, "<": bound < threshold, ">=": bound >= threshold, ">": bound > threshold}
    assert (judge(estimate, operator, threshold).outcome == "pass") == held[operator]
