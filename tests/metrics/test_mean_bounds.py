"""Bounds of a mean, against closed forms, random weights and skewed losses whose mean is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from pytest_kdmem.metrics.mean_bounds import (
    GREATEST_LOSS,
    greatest_possible,
    mean_lower_bound,
    mean_upper_bound,
    probability_above,
    upper_bound_of_mean,
)

CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
some_losses = st.lists(st.floats(0, 12), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 10), (5, 10), (3, 100), (60, 100)])
def test_of_losses_that_are_0_or_the_greatest_the_bounds_are_those_of_clopper_and_pearson(
    k: int, n: int, confidence: float
) -> None:
    losses = np.array([GREATEST_LOSS / 2] * k + [0.0] * (n - k))  # half, so that twice the greatest is the end
    assert greatest_possible(losses) == GREATEST_LOSS
    low = beta.ppf(1 - confidence, k, n - k + 1)
    bound = mean_lower_bound(losses, confidence) / (GREATEST_LOSS / 2)
    assert 0.9 * low <= bound <= low * (1 + 1e-4)
    ends = np.array([1.0] * k + [0.0] * (n - k) + [1.0])
    if k < n:
        high = beta.ppf(confidence, k + 1, n - k)
        assert 1 - 1e-4 <= probability_above(ends, high) / (1 - confidence) <= 1.02


@pytest.mark.parametrize("confidence", CONFIDENCES[:3])
def test_a_bound_is_the_quantile_of_the_mean_with_random_weights(confidence: float) -> None:
    losses = np.random.default_rng(1).gamma(4.0, 0.75, 12)
    weights = np.random.default_rng(2).dirichlet(np.ones(13), 200_000)
    upper = np.quantile(weights @ np.append(losses, GREATEST_LOSS), confidence)
    lower = np.quantile(weights @ np.append(losses, 0.0), 1 - confidence)
    assert mean_upper_bound(losses, confidence) == pytest.approx(upper, rel=0.01)
    assert mean_lower_bound(losses, confidence) == pytest.approx(lower, rel=0.01)


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda random, n: random.gamma(4.0, 0.75, n), 3.0),
        (lambda random, n: random.exponential(2.0, n), 2.0),
        (lambda random, n: random.lognormal(0.5, 0.75, n), math.exp(0.5 + 0.75**2 / 2)),
        (lambda random, n: np.where(random.random(n) < 0.95, 0.01, 3.0), 0.1595),
        (lambda random, n: np.where(random.random(n) < 0.05, 0.01, 3.0), 2.8505),
    ],
    ids=["gamma", "exponential", "lognormal", "nearly all recited", "few recited"],
)
@pytest.mark.parametrize("n", [20])
def test_a_few_skewed_losses_are_covered_as_often_as_the_confidence_says(
    draw: Callable[[np.random.Generator, int], np.ndarray], mean: float, n: int
) -> None:
    random, draws = np.random.default_rng(0), 400
    samples = [draw(random, n) for _ in range(draws)]
    least = 0.95 - 3 * math.sqrt(0.05 * 0.95 / draws)
    assert np.mean([mean_lower_bound(losses, 0.95) <= mean for losses in samples]) >= least
    assert np.mean([mean_upper_bound(losses, 0.95) >= mean for losses in samples]) >= least


def test_the_mean_with_random_weights_is_as_often_above_as_below_the_middle_of_two_points() -> None:
    assert probability_above(np.array([0.0, 1.0]), 0.5 + 1e-9) == pytest.approx(0.5, abs=1e-3)


@given(some_losses, st.sampled_from(CONFIDENCES))
@settings(max_examples=60, deadline=None)
def test_the_mean_lies_between_its_bounds_and_these_within_the_range(losses: np.ndarray, confidence: float) -> None:
    mean = float(losses.mean())
    assert 0 <= mean_lower_bound(losses, confidence) <= mean + 1e-9
    assert mean < mean_upper_bound(losses, confidence) <= greatest_possible(losses)


def test_over_many_losses_the_bounds_are_close_to_those_of_students_t() -> None:
    losses = np.random.default_rng(0).normal(3.0, 0.5, 20_000)
    margin = 1.645 * losses.std() / math.sqrt(20_000)
    assert losses.mean() - mean_lower_bound(losses, 0.95) == pytest.approx(margin, rel=0.05)
    assert mean_upper_bound(losses, 0.95) - losses.mean() == pytest.approx(margin, rel=0.15)


def test_losses_that_are_all_the_same_do_not_show_that_all_others_are() -> None:
    recited = np.full(20, 0.01)
    assert mean_upper_bound(recited, 0.95) > 1
    assert mean_lower_bound(np.zeros(20), 0.95) == 0.0


def test_the_range_grows_with_a_loss_above_what_is_expected() -> None:
    assert greatest_possible(np.array([3.0, 20.0])) == 40.0
    assert greatest_possible(np.array([3.0, 4.0])) == GREATEST_LOSS


@pytest.mark.parametrize("greatest", [math.log2(121), 0.1, 1 / 3])
def test_losses_that_are_all_the_greatest_are_bounded_by_it_however_their_mean_is_rounded(greatest: float) -> None:
    for n in range(1, 60):
        assert upper_bound_of_mean(np.full(n, greatest), greatest, 0.95) == greatest
        assert mean_lower_bound(np.full(n, greatest), 0.95) < greatest
