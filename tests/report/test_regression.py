"""Lines on changed metrics give the outcome, both values, the difference with its bounds, and the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.report.regression import OUTCOME_STYLES, change_line, change_lines
from tests.report.audits import full_audit, rate

(WORSE,) = full_audit().metric_changes


def test_a_change_has_both_values_and_the_difference_with_its_bounds() -> None:
    line = "worse: memorization rate of student 1.00% → 1.90%, +0.90 points [+0.40 points to +2.00 points] (why)"
    assert change_line(WORSE) == line


def test_a_fall_has_a_minus_sign() -> None:
    better = replace(WORSE, outcome="better", difference=-0.009, low=-0.02, high=-0.004)
    assert ", −0.90 points [−2.00 points to −0.40 points] (why)" in change_line(better)


@pytest.mark.parametrize("difference", [0.0, None])
def test_without_a_difference_only_the_values_are_shown(difference: float | None) -> None:
    same = replace(WORSE, outcome="same", difference=difference, measured=rate(10, 1000))
    assert change_line(same) == "same: memorization rate of student 1.00% → 1.00% (why)"


def test_an_exact_difference_has_no_bounds() -> None:
    assert change_line(replace(WORSE, low=0.009, high=0.009)).endswith("1.90%, +0.90 points (why)")


def test_a_metric_on_one_side_only_has_one_value() -> None:
    unused = replace(WORSE, outcome="unused", measured=None)
    new = replace(WORSE, outcome="new", accepted=None)
    assert change_line(unused) == "unused: memorization rate of student 1.00% (why)"
    assert change_line(new) == "new: memorization rate of student 1.90% (why)"


def test_unchanged_metrics_are_counted_in_one_line() -> None:
    same = replace(WORSE, outcome="same")
    changes = (same, WORSE, same)
    assert change_lines(changes) == [
        (change_line(same), ""), (change_line(WORSE), OUTCOME_STYLES["worse"]), (change_line(same), ""),
    ]  # fmt: skip
    assert change_lines(changes, show_unchanged=False) == [
        (change_line(WORSE), "red"), ("accepted figures: 2 the same", ""),
    ]  # fmt: skip
