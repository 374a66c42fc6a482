"""Exposure is that of The Secret Sharer, computed here string by string; a model that saw nothing stays at chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.canaries.exposure import ranks, tier_figures
from pytest_kdmem.errors import SpecError


def plain_exposure(canary: float, twins: list[float]) -> float:
    """log2 of the number of strings less log2 of the rank."""
    ordered = sorted([canary, *twins], reverse=True)
    return math.log2(len(ordered)) - math.log2(ordered.index(canary) + 1)


def figures(canaries: np.ndarray, twins: np.ndarray, **options: float):
    recited = np.zeros(len(canaries), bool)
    return tier_figures(4, canaries, twins, recited, subject="student", **options)


def test_exposure_is_that_of_the_paper() -> None:
    draw = np.random.default_rng(0)
    canaries, twins = draw.normal(1, 1, 20), draw.normal(0, 1, 150)
    exposure = figures(canaries, twins).exposure
    expected = [plain_exposure(canary, twins.tolist()) for canary in canaries.tolist()]
    assert exposure.value == pytest.approx(np.mean(expected))
    assert exposure.low < exposure.value < exposure.high <= figures(canaries, twins).greatest
    assert (exposure.unit, exposure.n) == ("bits", 20)


def test_of_a_tie_the_canary_comes_first() -> None:
    assert ranks(np.array([1.0, 3.0, 0.0]), np.array([1.0, 2.0, 2.0])).tolist() == [3, 1, 4]


def test_a_canary_likelier_than_all_twins_has_the_greatest_exposure() -> None:
    tier = figures(np.ones(5), np.zeros(511))
    assert tier.exposure.value == tier.greatest == 9
    assert (tier.tpr.k, tier.tpr.n) == (5, 5)


def test_strings_that_were_never_seen_stay_at_chance_and_are_found_at_the_false_positive_rate() -> None:
    draw = np.random.default_rng(1)
    runs = [figures(draw.normal(size=16), draw.normal(size=199), fpr=0.05) for _ in range(300)]
    assert np.mean([run.exposure.value for run in runs]) == pytest.approx(1 / math.log(2), abs=0.08)
    assert np.mean([run.tpr.value for run in runs]) == pytest.approx(0.05, abs=0.01)
    # Each bound holds in at least 95 of 100 runs.
    expected = np.mean([math.log2(200 / rank) for rank in range(1, 201)])
    assert np.mean([run.exposure.low <= expected for run in runs]) >= 0.93
    assert np.mean([run.exposure.high >= expected for run in runs]) >= 0.93


def test_too_few_twins_for_a_rate_are_refused() -> None:
    with pytest.raises(SpecError, match="At least 999 twins"):
        figures(np.ones(5), np.zeros(200), fpr=0.001)
