"""The first line of a judged comparison has all its numbers; the next step is a sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.auditing import messages
from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.bounds import Counts, PairedCounts, PairedTable, estimate_proportion, estimate_quotient
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from tests.auditing.estimates import rate, reduction


def reason(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> str:
    comparison = Comparison(estimate, operator, threshold)
    return messages.reason(comparison, judge(comparison))


def next_step(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> str:
    comparison = Comparison(estimate, operator, threshold)
    return messages.next_step(comparison, judge(comparison))


def test_a_passing_comparison_shows_its_numbers_and_needs_no_step() -> None:
    assert reason(rate(3, 1000), "<=", 0.01) == "memorization rate of student 0.30% [≤ 0.77%] (3 of 1 000) ≤ 1.00%"
    assert next_step(rate(3, 1000), "<=", 0.01) == ""


def test_a_failing_sample_shows_figure_bound_counts_and_threshold() -> None:
    assert reason(rate(19, 1000), "<=", 0.01) == "memorization rate of student 1.90% [≤ 2.78%] (19 of 1 000) > 1.00%"


def test_a_reduction_that_is_not_shown_names_its_lower_bound() -> None:
    shown = reason(reduction(2.4, 1.62, 3.6), ">=", 2)
    assert shown == "reduction of student 2.40 × [≥ 1.62 ×] (1 000 examples) < 2.00 ×"


def test_the_bound_shown_is_the_bound_compared() -> None:
    share = rate(676, 706)  # 95.75 %, bounds 94.28 % and 96.93 %
    assert "94.28%" in reason(share, ">=", 0.95)
    assert "96.93%" in reason(share, "<=", 0.95)


def test_another_model_is_shown_with_the_bound_that_faces_the_estimate() -> None:
    baseline = rate(50, 1000, subject="baseline")
    assert "5.00% [≥ 3.92%] (50 of 1 000) of baseline" in reason(rate(1, 1000), "<=", baseline)
    shown = reason(rate(18, 1000), "<=", rate(19, 1000, subject="baseline"))
    assert shown.endswith("> 1.90% [≥ 1.25%] (19 of 1 000) of baseline")


@pytest.mark.parametrize("exhaustive", [True, False])
def test_an_undefined_figure_is_called_undefined(exhaustive: bool) -> None:
    undefined = rate(0, 0, exhaustive=exhaustive)
    assert reason(undefined, "<=", 0.5).endswith("undefined (0 of 0): nothing to compare with 50.00%")
    assert ("--kdmem-sample" in next_step(undefined, "<=", 0.5)) is not exhaustive


def test_nothing_to_inherit_names_a_figure_that_can_be_compared() -> None:
    undefined = replace(rate(0, 0, exhaustive=True), metric="inheritance ratio")
    step = next_step(undefined, "<=", 0.02)
    assert step.startswith("The teacher recites nothing that the baseline does not")
    assert "`inheritance().share`" in step
    assert "--kdmem-sample" in next_step(replace(undefined, exhaustive=False), "<=", 0.02)


@pytest.mark.parametrize("student", [0, 3])
@pytest.mark.parametrize("exhaustive", [True, False])
def test_a_reduction_of_nothing_says_that_the_baseline_recites_nothing(student: int, exhaustive: bool) -> None:
    counts = PairedCounts(0, 0, student)
    table = PairedTable(counts, counts, counts, n=1325)
    nothing = estimate_quotient("reduction", "student", table, exhaustive=exhaustive)
    assert reason(nothing, ">=", 2.0).endswith(
        "the baseline recites none of 1 325 examples, so there is nothing to reduce"
    )
    shown = next_step(nothing, ">=", 2.0)
    assert "drop this gate where a lower limit of the memorization rate" in shown
    assert "shorter --kdmem-prefix-tokens" in shown
    assert ("--kdmem-sample" in shown) is not exhaustive
    some = PairedCounts(0, 1, 3)
    defined = estimate_quotient("reduction", "student", PairedTable(some, some, some, n=9), exhaustive=True)
    assert "raise the temperature" in next_step(defined, ">=", 2.0)


@given(st.floats(1e-5, 0.5))
def test_the_number_of_examples_that_would_decide_is_named(threshold: float) -> None:
    needed = math.ceil(math.log(0.05) / math.log(1 - threshold))
    assert f"at least {count(needed)} examples" in next_step(rate(0, 1), "<=", threshold)
    assert "cannot show ≤" in reason(rate(0, 1), "<=", threshold)


def test_where_no_sample_decides_the_whole_set_is_to_be_audited() -> None:
    assert next_step(rate(0, 1000), "<=", 0.0).startswith("No sample can show this")


def test_a_value_that_meets_the_threshold_where_its_bound_does_not_asks_for_a_larger_sample() -> None:
    assert "larger sample" in next_step(rate(9, 1000), "<=", 0.01)


def test_ambiguous_examples_that_alone_fail_a_comparison_are_named() -> None:
    estimate = rate(10, 1000, exhaustive=True, ambiguous=1)
    assert "1 ambiguous" in reason(estimate, "<=", 0.01)
    assert "ambiguous" in next_step(estimate, "<=", 0.01)


@pytest.mark.parametrize(("operator", "threshold"), [("<=", -0.1), (">=", 1.5)])
def test_a_threshold_beyond_all_rates_asks_for_no_negative_number_of_examples(
    operator: Operator, threshold: float
) -> None:
    assert "at least -" not in next_step(rate(5, 10), operator, threshold)


@pytest.mark.parametrize(
    ("estimate", "operator", "threshold", "expected"),
    [
        (
            estimate_proportion("share at risk", "training", Counts(5, 10), exhaustive=True),
            "<=",
            0.1,
            "kdmem prefilter",
        ),
        (
            estimate_proportion("inheritance ratio", "student", Counts(5, 10), exhaustive=True),
            "<=",
            0.1,
            "teacher's logits",
        ),
        (reduction(1.2, 1.1, 1.3), ">=", 2.0, "fewer epochs"),
        (Estimate("loss", "student", 3.0, 3.0, 3.0, None, 9, exhaustive=True, unit="nats"), "<=", 2.0, "longer"),
        (rate(5, 10, exhaustive=True), "<=", 0.1, "Deduplicate"),
    ],
    ids=lambda value: value.metric if isinstance(value, Estimate) else "",
)
def test_the_next_step_of_a_failure_suits_its_metric(
    estimate: Estimate, operator: Operator, threshold: float, expected: str
) -> None:
    shown = next_step(estimate, operator, threshold)
    assert expected in shown
    assert "\n" not in shown
    assert shown.endswith(".")
