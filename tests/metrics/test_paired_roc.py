"""Comparisons of two models by one attack: against a search of all thresholds, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pytest_kdmem.metrics.paired_roc import (
    PairedAttack,
    controls_needed,
    shows_lower_auc,
    shows_lower_tpr,
)
from pytest_kdmem.metrics.roc_bounds import AttackScores

FPR = 0.05


def drawn(
    random: np.random.Generator, n: int, m: int, shifts: tuple[float, float], *, exhaustive: bool, shared: float = 0.9
) -> PairedAttack:
    """Normal scores of two models, which share most of their variance, with members shifted by so much."""
    sides = []
    for size, (first, second) in ((n, shifts), (m, (0.0, 0.0))):
        common = np.sqrt(shared) * random.normal(size=size)
        own = np.sqrt(1 - shared) * random.normal(size=(2, size))
        sides.append((first + common + own[0], second + common + own[1]))
    return PairedAttack(*(AttackScores(sides[0][k], sides[1][k], exhaustive) for k in range(2)))


def searched(pair: PairedAttack, error: float) -> bool:
    """The same by a loop over all pairs of thresholds that the controls leave, and all examples."""
    first, second, m = pair.first, pair.second, len(pair.first.controls)
    error = error if first.exhaustive else error / 2
    ascending = [np.concatenate([[-np.inf], np.sort(side.controls)]) for side in (first, second)]
    for above_first in range(m + 1):
        if binom.sf(above_first - 1, m, FPR) <= error / 3:
            continue
        lowest = ascending[0][m - above_first]  # the lowest threshold that so many controls exceed
        for above_second in range(m + 1):
            if binom.cdf(above_second, m, FPR) <= error / 3:
                continue
            highest = ascending[1][m - above_second + 1] if above_second else np.inf
            exceeds = [first.controls > lowest, second.controls >= highest]
            only = [int((exceeds[k] & ~exceeds[1 - k]).sum()) for k in range(2)]
            if sum(only) and binomtest(only[0], sum(only), alternative="greater").pvalue <= error / 3:
                continue
            hits = [first.members > lowest, second.members >= highest]
            only = [int((hits[k] & ~hits[1 - k]).sum()) for k in range(2)]
            if first.exhaustive:
                is_lower = only[0] <= only[1]
            else:
                p_value = binomtest(only[1], sum(only), alternative="greater").pvalue if sum(only) else 1.0
                is_lower = p_value <= error
            if not is_lower:
                return False
    return True


@pytest.mark.parametrize("exhaustive", [True, False])
def test_all_pairs_of_thresholds_are_searched(exhaustive: bool) -> None:
    random = np.random.default_rng(exhaustive)
    outcomes = []
    for second in np.linspace(0.2, 2.5, 12):
        pair = drawn(random, 150, 80, (0.5, second), exhaustive=exhaustive)
        outcomes.append(shows_lower_tpr(pair, FPR, 0.9))
        assert outcomes[-1] == searched(pair, 0.1)
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("exhaustive", [True, False])
def test_two_models_that_tell_equally_much_are_rarely_told_apart(exhaustive: bool) -> None:
    random = np.random.default_rng(7)
    draws = 200
    pairs = [drawn(random, 500, 200, (1.0, 1.0), exhaustive=exhaustive) for _ in range(draws)]
    most = binom.ppf(0.9999, draws, 0.05)
    assert sum(shows_lower_tpr(pair, FPR, 0.95) for pair in pairs) <= most
    assert sum(shows_lower_auc(pair, 0.95) for pair in pairs) <= most


@pytest.mark.parametrize("exhaustive", [True, False])
def test_a_model_that_tells_clearly_less_is_found(exhaustive: bool) -> None:
    pair = drawn(np.random.default_rng(8), 3_000, 2_000, (0.5, 1.5), exhaustive=exhaustive)
    turned = PairedAttack(pair.second, pair.first)
    assert shows_lower_tpr(pair, 0.01, 0.95)
    assert shows_lower_auc(pair, 0.95)
    assert not shows_lower_tpr(turned, 0.01, 0.95)
    assert not shows_lower_auc(turned, 0.95)


def test_fewer_controls_than_needed_show_nothing_whatever_the_members() -> None:
    needed = controls_needed(FPR, 0.95, exhaustive=True)
    random = np.random.default_rng(9)
    for m, is_shown in ((needed - 1, False), (needed, True)):
        controls = random.normal(size=(2, m))
        far_below, far_above = (AttackScores(np.full(50, at), controls[k], True) for k, at in ((0, -9.0), (1, 9.0)))
        # Nobody of the first model's members is found; all of the second's are.
        assert shows_lower_tpr(PairedAttack(far_below, far_above), FPR, 0.95, strictly=True) == is_shown


def test_equal_scores_are_of_one_model() -> None:
    pair = drawn(np.random.default_rng(10), 20, 20, (0.0, 0.0), exhaustive=False)
    assert not pair.is_of_one_model
    assert PairedAttack(pair.first, pair.first).is_of_one_model
