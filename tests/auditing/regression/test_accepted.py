"""Estimates compare with the accepted value of their own metric and subject, and every other comparison is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.regression.accepted import Accepted
from pytest_kdmem.auditing.regression.verdict import RegressionVerdict
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.recorder import Recorded, Refused, close_recorder, open_recorder
from tests.auditing.estimates import COMPARABLE_ON, tracked_rate, tracked_reduction

BEFORE = tracked_rate(range(40), 5000)
WORSE = tracked_rate(range(60), 5000, model="b")
BETTER = tracked_rate(range(30), 5000, model="b")


def test_a_value_no_worse_than_accepted_passes_and_is_recorded_with_its_verdict() -> None:
    entries: list[Recorded] = []
    recorder = open_recorder()
    recorder.of_test = entries
    try:
        assert BETTER.estimate <= Accepted([BEFORE], lambda: [BETTER])
        assert not WORSE.estimate <= Accepted([BEFORE], lambda: [WORSE])
        with pytest.raises(SpecError):
            _ = BETTER.estimate >= Accepted([BEFORE], lambda: [BETTER])
    finally:
        close_recorder(recorder)
    assert [entry.reason.partition(":")[2][:9] for entry in entries if isinstance(entry, Refused)] == [" write <="]
    comparisons = [entry for entry in entries if isinstance(entry, Comparison)]
    assert [comparison.verdict.outcome for comparison in comparisons if comparison.verdict] == ["pass", "fail"]
    assert [comparison.threshold for comparison in comparisons] == [40 / 5000, 40 / 5000]
    assert [comparison.estimate for comparison in comparisons] == [BETTER.estimate, WORSE.estimate]


def test_both_ways_to_write_the_comparison_are_the_same() -> None:
    assert Accepted([BEFORE], lambda: [BETTER]) >= BETTER.estimate
    assert not Accepted([BEFORE], lambda: [WORSE]) >= WORSE.estimate
    accepted, measured = tracked_reduction(2.0, range(9), "a"), tracked_reduction(2.5, range(7), "b")
    assert measured.estimate >= Accepted([accepted], lambda: [measured])
    assert Accepted([accepted], lambda: [measured]) <= measured.estimate


def test_what_is_allowed_beyond_the_accepted_value_adds_up() -> None:
    accepted = Accepted([BEFORE], lambda: [WORSE])
    assert WORSE.estimate <= accepted + 0.004
    assert not WORSE.estimate <= accepted + 0.003
    assert WORSE.estimate <= accepted + 0.002 + 0.002
    reduced = tracked_reduction(1.9, range(9), "b")
    assert reduced.estimate >= Accepted([tracked_reduction(2.0, range(9), "a")], lambda: [reduced]) - 0.2


def test_a_run_that_accepts_its_own_values_passes() -> None:
    comparison = Accepted([], lambda: [WORSE], updating=True).compare(WORSE.estimate, "<=")
    assert comparison.verdict == RegressionVerdict("pass")
    assert comparison.threshold == WORSE.estimate.high


def test_accepted_values_are_neither_true_nor_false() -> None:
    with pytest.raises(ComparisonError, match="neither true nor false"):
        bool(Accepted([BEFORE], lambda: [BETTER]))


@pytest.mark.parametrize("operator", ["<", ">", ">="])
def test_a_comparison_in_another_direction_is_refused(operator: str) -> None:
    with pytest.raises(SpecError, match="write <= accepted"):
        Accepted([BEFORE], lambda: [BETTER]).compare(BETTER.estimate, operator)  # type: ignore[arg-type]


@pytest.mark.parametrize("allowed", [-0.001, 1.0])
def test_a_negative_allowance_or_one_of_everything_is_refused(allowed: float) -> None:
    with pytest.raises(SpecError):
        _ = BETTER.estimate <= Accepted([BEFORE], lambda: [BETTER]) + allowed


@pytest.mark.parametrize("allowed", [math.nan, math.inf])
def test_an_allowance_that_is_no_finite_number_is_refused(allowed: float) -> None:
    with pytest.raises(SpecError, match="A finite number was expected"):
        Accepted([BEFORE], lambda: [BETTER]) + allowed


def test_an_estimate_that_the_report_does_not_hold_is_refused() -> None:
    with pytest.raises(SpecError, match="is none: these are rates"):
        Accepted([BEFORE], lambda: []).compare(BETTER.estimate, "<=")
    renamed = replace(BETTER.estimate, k=31)
    with pytest.raises(SpecError, match="another was compared"):
        Accepted([BEFORE], lambda: [BETTER]).compare(renamed, "<=")


def test_a_value_that_was_never_accepted_is_refused() -> None:
    with pytest.raises(SpecError, match="there is none; accept"):
        Accepted([], lambda: [BETTER]).compare(BETTER.estimate, "<=")


def test_a_value_measured_under_other_conditions_is_refused() -> None:
    moved = tracked_rate(range(30), 5000, model="b", comparable_on=COMPARABLE_ON | {"lengths": "9, 9, 9"})
    with pytest.raises(SpecError, match="another prefix-tokens than was accepted"):
        Accepted([BEFORE], lambda: [moved]).compare(moved.estimate, "<=")
