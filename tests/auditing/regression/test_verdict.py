"""A metric passes if it is no worse than what was accepted, or no worse than is allowed beyond that."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.regression.compare import metric_change
from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.auditing.regression.verdict import RegressionVerdict, accepted_limit, judge_change
from tests.auditing.estimates import tracked_rate, tracked_reduction

EXAMPLES = st.sets(st.integers(0, 99), max_size=30)


def verdict(accepted: TrackedMetric, measured: TrackedMetric, allowed: float = 0.0) -> RegressionVerdict:
    return judge_change(metric_change(accepted, measured), accepted_limit(accepted, allowed))


def outcome(accepted: TrackedMetric, measured: TrackedMetric, allowed: float = 0.0) -> str:
    return verdict(accepted, measured, allowed).outcome


def test_what_is_shown_to_be_worse_fails() -> None:
    worse = verdict(tracked_rate(range(40), 5000), tracked_rate(range(60), 5000, model="b"))
    assert worse.outcome == "fail"
    assert worse.change is not None
    assert worse.change.outcome == "worse"


def test_what_chance_could_explain_is_inconclusive() -> None:
    accepted = tracked_rate(range(47), 2960)
    assert outcome(accepted, tracked_rate(range(48), 2960, model="b")) == "inconclusive"
    assert outcome(accepted, tracked_rate(range(47), 2960, model="b")) == "pass"
    assert outcome(accepted, tracked_rate(range(46), 2960, model="b")) == "pass"


def test_as_much_worse_as_is_allowed_passes_and_no_more() -> None:
    accepted, measured = tracked_rate(range(40), 5000), tracked_rate(range(60), 5000, model="b")
    assert outcome(accepted, measured, 0.004) == "pass"
    assert outcome(accepted, measured, 0.0039) == "fail"


def test_ambiguous_examples_count_on_both_sides() -> None:
    sure, unsure = tracked_rate(range(40), 5000), tracked_rate(range(40), 5000, ambiguous=(50,), model="b")
    assert outcome(sure, unsure) == "inconclusive"
    accepted = tracked_rate(range(40), 5000, ambiguous=(50,))
    assert outcome(accepted, tracked_rate([*range(40), 50], 5000, model="b")) == "pass"


def test_the_same_model_scored_twice_passes_whatever_its_ambiguous_band_does() -> None:
    before = tracked_rate(range(40), 5000, ambiguous=(39, 41))
    for again in (before, tracked_rate(range(39), 5000, ambiguous=(39, 41, 42)), tracked_rate(range(40), 5000)):
        assert outcome(before, again) == "pass"


def test_the_same_model_with_other_verdicts_outside_its_ambiguous_band_is_inconclusive() -> None:
    assert outcome(tracked_rate(range(40), 5000), tracked_rate(range(43), 5000)) == "inconclusive"


def test_a_reduction_passes_from_its_accepted_value_upward() -> None:
    accepted = tracked_reduction(2.4, range(40), "a")
    assert outcome(accepted, tracked_reduction(2.35, range(41), "b")) == "inconclusive"
    assert outcome(accepted, tracked_reduction(2.35, range(41), "b"), -0.1) == "pass"


def test_an_undefined_value_on_either_side_is_inconclusive() -> None:
    undefined = tracked_rate((), 0, model="b")
    assert math.isnan(undefined.estimate.value)
    for judged in (verdict(tracked_rate((), 100), undefined), verdict(undefined, tracked_rate((), 100, model="c"))):
        assert (judged.outcome, judged.defined) == ("inconclusive", False)


@given(EXAMPLES, EXAMPLES, st.sets(st.integers(0, 99), max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_value_passes_only_if_its_bound_is_no_worse(
    before: set[int], now: set[int], ambiguous: set[int], exhaustive: bool
) -> None:
    accepted = tracked_rate(before, 100, exhaustive=exhaustive)
    measured = tracked_rate(now, 100, ambiguous=ambiguous, model="b", exhaustive=exhaustive)
    assert (outcome(accepted, measured) == "pass") == (len(now | ambiguous) <= len(before))
