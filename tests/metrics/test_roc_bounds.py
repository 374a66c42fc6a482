"""TPR and area against scikit-learn's curve, and how often their bounds hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score, roc_curve

from pytest_kdmem.metrics.roc_bounds import (
    AttackScores,
    auc_bounds,
    controls_to_show,
    enclosing_ranks,
    hits_at,
    placements,
    tpr_bounds,
)

# Few values, so that there are ties within and between both sides.
SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40).map(np.array)
DRAWS = 200
# Four standard errors of a coverage of 95 % over so many draws.
LEAST_COVERAGE = 0.95 - 4 * math.sqrt(0.95 * 0.05 / DRAWS)


@given(SCORES, SCORES, st.sampled_from([0.01, 0.1, 0.25, 0.5]))
def test_hits_and_area_are_those_of_scikit_learns_curve(members: np.ndarray, controls: np.ndarray, fpr: float) -> None:
    scores = AttackScores(members, controls, exhaustive=False)
    labels = np.repeat([1, 0], [len(members), len(controls)])
    all_scores = np.concatenate([members, controls])
    false_rates, true_rates, _ = roc_curve(labels, all_scores, drop_intermediate=False)
    assert hits_at(scores, fpr) / len(members) == pytest.approx(true_rates[false_rates <= fpr + 1e-12].max())
    for values in placements(scores):
        assert values.mean() == pytest.approx(roc_auc_score(labels, all_scores))


@pytest.mark.parametrize(("controls", "fpr"), [(100, 0.01), (1_000, 0.01), (5_000, 0.001), (40, 0.5)])
@pytest.mark.parametrize("error", [0.05, 0.01])
def test_ranks_enclose_a_threshold_as_the_binomial_distribution_says(controls: int, fpr: float, error: float) -> None:
    inner, outer = enclosing_ranks(controls, fpr, error)
    exceeding = binom(controls, fpr)
    assert outer == next(rank for rank in range(controls + 2) if exceeding.sf(rank - 1) <= error)
    assert inner == max(rank for rank in range(controls + 1) if exceeding.cdf(rank - 1) <= error)


def test_so_many_controls_and_no_fewer_show_that_one_exceeds_the_threshold() -> None:
    needed = controls_to_show(0.01, 0.05)
    assert needed == 299
    assert [enclosing_ranks(controls, 0.01, 0.05)[0] for controls in (needed - 1, needed)] == [0, 1]


@pytest.mark.parametrize("exhaustive", [True, False])
@pytest.mark.parametrize(("n", "m", "shift"), [(300, 100, 0), (1_000, 500, 1), (300, 100, 4)])
def test_bounds_hold_as_often_as_they_say(n: int, m: int, shift: float, exhaustive: bool) -> None:
    random = np.random.default_rng([n, m, shift, exhaustive])
    threshold = norm.isf(0.01)
    members = random.normal(shift, size=n)
    true_rate, true_area = norm.sf(threshold - shift), norm.cdf(shift / math.sqrt(2))
    if exhaustive:
        true_rate, true_area = (members > threshold).mean(), norm.cdf(members).mean()
    held = np.zeros(4)
    for _ in range(DRAWS):
        drawn = members if exhaustive else random.normal(shift, size=n)
        scores = AttackScores(drawn, random.normal(size=m), exhaustive)
        (low, high), (low_area, high_area) = tpr_bounds(scores, 0.01, 0.95), auc_bounds(scores, 0.95)
        held += [low <= true_rate, high >= true_rate, low_area <= true_area, high_area >= true_area]
    assert (held / DRAWS >= LEAST_COVERAGE).all()


def test_bounds_enclose_the_figure_and_stay_within_0_and_1() -> None:
    apart = AttackScores(np.arange(200.0, 500), np.arange(0.0, 150), exhaustive=False)
    low, high = tpr_bounds(apart, 0.01, 0.95)
    assert low == 0, "150 controls show of none that it exceeds the threshold"
    assert high == 1
    low, high = auc_bounds(apart, 0.95)
    assert 0.97 < low < 1
    assert high == 1
    assert auc_bounds(AttackScores(apart.controls, apart.members, exhaustive=True), 0.95)[0] == 0
