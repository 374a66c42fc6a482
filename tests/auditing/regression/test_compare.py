"""Two values of one metric: how far apart they are, whether that is worse, and whether chance could explain it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from pytest_kdmem.auditing.regression.compare import metric_change, metric_changes
from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from tests.auditing.estimates import COMPARABLE_ON, tracked_loss, tracked_rate, tracked_reduction

EXAMPLES = st.sets(st.integers(0, 99), max_size=30)


def outcome(accepted: TrackedMetric, measured: TrackedMetric) -> str:
    return metric_change(accepted, measured).outcome


def test_twenty_more_of_five_thousand_are_worse_and_a_paired_test_shows_it() -> None:
    change = metric_change(tracked_rate(range(40), 5000), tracked_rate(range(60), 5000, model="b"))
    assert (change.outcome, change.newly, change.no_longer) == ("worse", 20, 0)
    assert change.newly_examples == tuple(range(40, 60))
    assert change.p_value == pytest.approx(2.0**-20)
    assert change.difference == pytest.approx(20 / 5000)


def test_pairs_show_what_the_two_rates_alone_would_not() -> None:
    """60 and 40 of 5 000 are within chance of each other as two samples; as pairs they are not."""
    assert fisher_exact([[60, 4940], [40, 4960]]).pvalue > 0.04
    change = metric_change(
        tracked_rate(range(40), 5000, exhaustive=False), tracked_rate(range(60), 5000, model="b", exhaustive=False)
    )
    assert change.outcome == "worse"
    assert change.low is not None
    assert change.low > 0


@pytest.mark.parametrize(("newly", "no_longer"), list(product((0, 1, 3, 8, 20), (0, 1, 5, 19))))
def test_the_paired_test_is_the_exact_tail_of_a_fair_coin(newly: int, no_longer: int) -> None:
    accepted = tracked_rate(range(no_longer), 1000)
    change = metric_change(accepted, tracked_rate(range(100, 100 + newly), 1000, model="b"))
    differing = newly + no_longer
    tail = sum(math.comb(differing, gained) for gained in range(newly, differing + 1)) / 2**differing
    assert change.p_value == pytest.approx(tail)
    expected = "same" if newly == no_longer else "better" if newly < no_longer else "worse"
    if expected == "worse" and tail > 0.05:
        expected = "undecided"
    assert change.outcome == expected


def test_the_same_model_scored_twice_is_the_same_whatever_its_ambiguous_band_does() -> None:
    before = tracked_rate(range(40), 5000, ambiguous=(39, 41))
    for again in (before, tracked_rate(range(39), 5000, ambiguous=(39, 41, 42)), tracked_rate(range(40), 5000)):
        assert outcome(before, again) == "same"


def test_the_same_model_with_other_verdicts_outside_its_ambiguous_band_is_undecided() -> None:
    change = metric_change(tracked_rate(range(40), 5000), tracked_rate(range(43), 5000))
    assert change.outcome == "undecided"
    assert "3 verdicts differ outside the ambiguous band" in change.reason


def test_the_same_model_in_other_arithmetic_is_the_same_up_to_rounding() -> None:
    assert outcome(tracked_loss(29.3567, "a"), tracked_loss(29.3593, "a")) == "same"
    assert outcome(tracked_loss(1.99, "a"), tracked_loss(5.0, "a")) == "worse"
    accepted = tracked_reduction(2.43, range(40), "a")
    assert outcome(accepted, tracked_reduction(2.43, range(41), "a")) == "same"
    assert outcome(accepted, tracked_reduction(0.1, range(40), "a")) == "undecided"
    assert outcome(tracked_loss(2.0, "a"), tracked_loss(math.nan, "a")) == "undecided"


@pytest.mark.parametrize("name", [*COMPARABLE_ON, "teacher"])
def test_values_measured_under_other_conditions_are_refused(name: str) -> None:
    measured = tracked_rate(range(4), 50, model="b", comparable_on=COMPARABLE_ON | {name: "x" * 32})
    change = metric_change(tracked_rate(range(4), 50), measured)
    assert change.outcome == "refused"
    told = "prefix-tokens" if name == "lengths" else name
    assert f"another {told} than was accepted (xxxxxxxx, accepted: " in change.reason
    assert (change.p_value, change.difference, change.newly, change.newly_examples) == (None, None, None, ())


def test_bounds_of_another_confidence_are_refused() -> None:
    measured = tracked_rate(range(4), 50, model="b", exhaustive=False)
    surer = replace(measured, estimate=replace(measured.estimate, confidence=0.5))
    assert outcome(tracked_rate(range(4), 50, exhaustive=False), surer) == "refused"


def test_a_higher_reduction_is_better() -> None:
    accepted = tracked_reduction(2.4, range(40), "a")
    assert outcome(accepted, tracked_reduction(3.0, range(32), "b")) == "better"
    assert outcome(accepted, tracked_reduction(1.6, range(60), "b")) == "worse"


def test_metrics_that_count_no_examples_are_compared_by_their_bounds() -> None:
    assert outcome(tracked_loss(2.0, "a"), tracked_loss(2.1, "b")) == "worse"
    assert outcome(tracked_loss(2.0, "a", 0.1), tracked_loss(2.1, "b", 0.1)) == "undecided"
    assert outcome(tracked_loss(2.0, "a", 0.1), tracked_loss(1.9, "b", 0.1)) == "better"
    assert metric_change(tracked_loss(2.0, "a", 0.1), tracked_loss(2.1, "b", 0.1)).p_value is None


def test_a_metric_on_one_side_only_is_new_or_unused() -> None:
    students, teachers = tracked_rate(range(4), 50), replace(tracked_rate(range(4), 50), subject="teacher")
    changes = {change.subject: change for change in metric_changes([students], [teachers])}
    assert {subject: change.outcome for subject, change in changes.items()} == {"teacher": "new", "student": "unused"}
    assert (changes["teacher"].accepted, changes["teacher"].measured) == (None, teachers.estimate)
    assert (changes["student"].accepted, changes["student"].measured) == (students.estimate, None)


@given(EXAMPLES, EXAMPLES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_difference_lies_within_its_bounds_and_changes_its_sign_if_the_sides_are_swapped(
    before: set[int], now: set[int], exhaustive: bool
) -> None:
    accepted = tracked_rate(before, 100, exhaustive=exhaustive)
    measured = tracked_rate(now, 100, model="b", exhaustive=exhaustive)
    forward, backward = metric_change(accepted, measured), metric_change(measured, accepted)
    assert None not in (forward.low, forward.difference, forward.high, backward.difference)
    assert forward.low <= forward.difference <= forward.high  # type: ignore[operator]
    assert forward.difference == pytest.approx((len(now) - len(before)) / 100)
    assert backward.difference == pytest.approx(-forward.difference)  # type: ignore[operator]
    assert (forward.newly, forward.no_longer) == (backward.no_longer, backward.newly)


def test_the_interval_of_a_paired_difference_covers_the_truth_as_often_as_it_claims() -> None:
    rng = np.random.default_rng(0)
    outside_low = outside_high = 0
    for _ in range(400):
        drawn = rng.choice(3, size=200, p=(0.03, 0.02, 0.95))
        newly, no_longer = (np.flatnonzero(drawn == kind).tolist() for kind in (0, 1))
        accepted = tracked_rate(no_longer, 200, exhaustive=False)
        change = metric_change(accepted, tracked_rate(newly, 200, model="b", exhaustive=False))
        assert change.low is not None
        assert change.high is not None
        outside_low += change.low > 0.01
        outside_high += change.high < 0.01
    assert outside_low <= 0.05 * 400
    assert outside_high <= 0.05 * 400


def _under(lengths: str, digest: str = "d") -> TrackedMetric:
    return tracked_rate(range(3), 100, comparable_on={"training set": digest, "lengths": lengths})


def test_where_settings_differ_they_are_named_and_not_the_digest_that_differs_by_them() -> None:
    reason = metric_change(_under("50, 50, 104"), _under("50, 50, None", "e")).reason
    assert reason == "another window-tokens than was accepted (256, accepted: 104)"
    assert "another training set" in metric_change(_under("50, 50, 104"), _under("50, 50, 104", "e")).reason


def test_a_length_that_is_named_is_no_other_than_the_default_that_is_not() -> None:
    assert metric_change(_under("None, None, None"), _under("50, 50, 256")).outcome == "same"
    assert metric_change(_under("None, None, None"), _under("50, 49, 256")).outcome == "refused"
