"""Two figures over the same examples: how far apart, whether that is worse, and whether chance could do it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.regression.compare import drift, drifts, limit_of, verdict_of
from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.metrics.estimate import Estimate
from tests.audit.figures import COMPARABLE_ON, recited_rate


def reduction(value: float, recited: Any, of: str, n: int = 1000) -> TrackedMetric:
    estimate = Estimate("reduction", "student", value, value, value, None, n, exhaustive=True, unit="factor")
    return TrackedMetric("reduction", "student", estimate, n, tuple(recited), (), of, COMPARABLE_ON)


def judged(accepted: TrackedMetric, found: TrackedMetric, allowed: float = 0.0) -> str:
    return verdict_of(drift(accepted, found), limit_of(accepted, allowed)).outcome


def test_twenty_more_of_five_thousand_are_worse_and_a_paired_test_shows_it() -> None:
    entry = drift(recited_rate(range(40), 5000), recited_rate(range(60), 5000, of="b"))
    assert (entry.outcome, entry.newly, entry.no_longer) == ("worse", 20, 0)
    assert entry.newly_examples == tuple(range(40, 60))
    assert entry.p_value == pytest.approx(2.0**-20)
    assert entry.difference == pytest.approx(20 / 5000)
    assert judged(recited_rate(range(40), 5000), recited_rate(range(60), 5000, of="b")) == "fail"


def test_pairs_show_what_the_two_rates_alone_would_not() -> None:
    """60 against 40 of 5 000 are within chance of each other as two samples; as pairs they are not."""
    from scipy.stats import fisher_exact

    assert fisher_exact([[60, 4940], [40, 4960]]).pvalue > 0.04
    entry = drift(
        recited_rate(range(40), 5000, exhaustive=False), recited_rate(range(60), 5000, of="b", exhaustive=False)
    )
    assert entry.outcome == "worse"
    assert entry.low is not None
    assert entry.low > 0


@pytest.mark.parametrize(("newly", "no_longer"), list(product((0, 1, 3, 8, 20), (0, 1, 5, 19))))
def test_the_paired_test_is_the_exact_tail_of_a_fair_coin(newly: int, no_longer: int) -> None:
    entry = drift(recited_rate(range(no_longer), 1000), recited_rate(range(100, 100 + newly), 1000, of="b"))
    differing = newly + no_longer
    tail = sum(math.comb(differing, more) for more in range(newly, differing + 1)) / 2**differing
    assert entry.p_value == pytest.approx(tail)
    expected = "same" if newly == no_longer else "better" if newly < no_longer else "worse"
    if expected == "worse" and tail > 0.05:
        expected = "undecided"
    assert entry.outcome == expected


def test_what_chance_could_do_is_no_pass() -> None:
    assert judged(recited_rate(range(47), 2960), recited_rate(range(48), 2960, of="b")) == "inconclusive"
    assert judged(recited_rate(range(47), 2960), recited_rate(range(47), 2960, of="b")) == "pass"
    assert judged(recited_rate(range(47), 2960), recited_rate(range(46), 2960, of="b")) == "pass"


def test_so_much_worse_as_is_allowed_passes_and_no_more() -> None:
    accepted, found = recited_rate(range(40), 5000), recited_rate(range(60), 5000, of="b")
    assert judged(accepted, found, 0.004) == "pass"
    assert judged(accepted, found, 0.0039) == "fail"


def test_ambiguous_examples_count_on_both_sides() -> None:
    assert (
        judged(recited_rate(range(40), 5000), recited_rate(range(40), 5000, ambiguous=(50,), of="b")) == "inconclusive"
    )
    assert (
        judged(recited_rate(range(40), 5000, ambiguous=(50,)), recited_rate([*range(40), 50], 5000, of="b")) == "pass"
    )


def test_the_same_model_scored_twice_is_the_same_whatever_its_band_does() -> None:
    before = recited_rate(range(40), 5000, ambiguous=(39, 41))
    for again in (before, recited_rate(range(39), 5000, ambiguous=(39, 41, 42)), recited_rate(range(40), 5000)):
        assert drift(before, again).outcome == "same"
        assert judged(before, again) == "pass"


def test_the_same_model_with_other_verdicts_outside_its_band_is_no_pass() -> None:
    entry = drift(recited_rate(range(40), 5000), recited_rate(range(43), 5000))
    assert entry.outcome == "undecided"
    assert "3 verdicts differ outside the ambiguous band" in entry.reason
    assert judged(recited_rate(range(40), 5000), recited_rate(range(43), 5000)) == "inconclusive"


@pytest.mark.parametrize("name", [*COMPARABLE_ON, "teacher"])
def test_what_was_taken_over_something_else_is_refused(name: str) -> None:
    entry = drift(recited_rate(range(4), 50), recited_rate(range(4), 50, of="b", over=COMPARABLE_ON | {name: "x" * 32}))
    assert entry.outcome == "refused"
    assert f"another {name} than was accepted (xxxxxxxx, accepted: " in entry.reason
    assert entry.p_value is None


def test_bounds_of_another_confidence_are_refused() -> None:
    found = recited_rate(range(4), 50, of="b", exhaustive=False)
    surer = replace(found, estimate=replace(found.estimate, confidence=0.5))
    assert drift(recited_rate(range(4), 50, exhaustive=False), surer).outcome == "refused"


def test_a_reduction_is_better_above() -> None:
    accepted = reduction(2.4, range(40), "a")
    assert drift(accepted, reduction(3.0, range(32), "b")).outcome == "better"
    assert drift(accepted, reduction(1.6, range(60), "b")).outcome == "worse"
    assert judged(accepted, reduction(2.35, range(41), "b")) == "inconclusive"
    assert judged(accepted, reduction(2.35, range(41), "b"), -0.1) == "pass"


def test_an_undefined_figure_is_no_worse_than_nothing() -> None:
    undefined = recited_rate((), 0, of="b")
    assert math.isnan(undefined.estimate.value)
    assert judged(recited_rate((), 100), undefined) == "inconclusive"
    assert judged(undefined, recited_rate((), 100, of="c")) == "inconclusive"


def test_figures_without_examples_are_compared_by_their_bounds() -> None:
    def loss(value: float, margin: float, of: str) -> TrackedMetric:
        estimate = Estimate("loss", "student", value, value - margin, value + margin, None, 500, unit="nats")
        return TrackedMetric("loss", "student", estimate, 0, None, (), of, {"control set": "c"})

    assert drift(loss(2.0, 0.0, "a"), loss(2.1, 0.0, "b")).outcome == "worse"
    assert drift(loss(2.0, 0.1, "a"), loss(2.1, 0.1, "b")).outcome == "undecided"
    assert drift(loss(2.0, 0.1, "a"), loss(1.9, 0.1, "b")).outcome == "better"
    assert drift(loss(2.0, 0.1, "a"), loss(2.1, 0.1, "b")).p_value is None


def test_new_and_unused_figures_are_told() -> None:
    one, other = recited_rate(range(4), 50), recited_rate(range(4), 50, subject="teacher")
    entries = {entry.subject: entry.outcome for entry in drifts([one], [other])}
    assert entries == {"teacher": "new", "student": "unused"}


EXAMPLES = st.sets(st.integers(0, 99), max_size=30)


@given(EXAMPLES, EXAMPLES, st.sets(st.integers(0, 99), max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_figure_passes_only_if_its_bound_is_no_worse(
    before: set[int], now: set[int], ambiguous: set[int], exhaustive: bool
) -> None:
    accepted = recited_rate(before, 100, exhaustive=exhaustive)
    found = recited_rate(now, 100, ambiguous=tuple(ambiguous), of="b", exhaustive=exhaustive)
    assert (judged(accepted, found) == "pass") == (len(now | ambiguous) <= len(before))


@given(EXAMPLES, EXAMPLES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_difference_lies_within_its_bounds_and_turns_its_sign_with_the_sides(
    before: set[int], now: set[int], exhaustive: bool
) -> None:
    one, other = recited_rate(before, 100, exhaustive=exhaustive), recited_rate(now, 100, of="b", exhaustive=exhaustive)
    there, back = drift(one, other), drift(other, one)
    assert None not in (there.low, there.difference, there.high, back.difference)
    assert there.low <= there.difference <= there.high  # type: ignore[operator]
    assert there.difference == pytest.approx((len(now) - len(before)) / 100)
    assert back.difference == pytest.approx(-there.difference)  # type: ignore[operator]
    assert (there.newly, there.no_longer) == (back.no_longer, back.newly)


def test_the_interval_of_a_paired_difference_covers_the_truth_at_least_as_often_as_it_says() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    outside_low = outside_high = 0
    for _ in range(400):
        drawn = rng.choice(3, size=200, p=(0.03, 0.02, 0.95))
        newly, gone = (np.flatnonzero(drawn == kind).tolist() for kind in (0, 1))
        entry = drift(recited_rate(gone, 200, exhaustive=False), recited_rate(newly, 200, of="b", exhaustive=False))
        assert entry.low is not None
        assert entry.high is not None
        outside_low += entry.low > 0.01
        outside_high += entry.high < 0.01
    assert outside_low <= 0.05 * 400
    assert outside_high <= 0.05 * 400


def loss(value: float, of: str) -> TrackedMetric:
    estimate = Estimate("loss", "student", value, value, value, None, 50, exhaustive=True, unit="nats")
    return TrackedMetric("loss", "student", estimate, 0, None, (), of, {})


def test_the_same_model_in_other_arithmetic_is_the_same_and_no_more() -> None:
    assert drift(loss(29.3567, "a"), loss(29.3593, "a")).outcome == "same"
    assert drift(loss(1.99, "a"), loss(5.0, "a")).outcome == "worse"
    assert drift(reduction(2.43, range(40), "a"), reduction(2.43, range(41), "a")).outcome == "same"
    assert drift(reduction(2.43, range(40), "a"), reduction(0.1, range(40), "a")).outcome == "undecided"
    assert drift(loss(2.0, "a"), loss(math.nan, "a")).outcome == "undecided"
