"""Exposure is that of The Secret Sharer, computed here string by string."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.canaries.exposure import exposures, greatest_exposure, ranks


def plain_exposure(canary: float, twins: list[float]) -> float:
    """log2 of the number of strings less log2 of the rank."""
    ordered = sorted([canary, *twins], reverse=True)
    return math.log2(len(ordered)) - math.log2(ordered.index(canary) + 1)


def test_exposure_is_that_of_the_paper() -> None:
    draw = np.random.default_rng(0)
    canaries, twins = draw.normal(1, 1, 20), draw.normal(0, 1, 150)
    expected = [plain_exposure(canary, twins.tolist()) for canary in canaries.tolist()]
    assert exposures(canaries, twins) == pytest.approx(expected)


def test_of_a_tie_the_canary_comes_first() -> None:
    assert ranks(np.array([1.0, 3.0, 0.0]), np.array([1.0, 2.0, 2.0])).tolist() == [3, 1, 4]


def test_a_canary_likelier_than_all_twins_has_the_greatest_exposure() -> None:
    assert exposures(np.ones(5), np.zeros(511)).tolist() == [9.0] * 5
    assert greatest_exposure(511) == 9


def test_strings_that_were_never_seen_have_1_44_bits_on_average() -> None:
    draw = np.random.default_rng(1)
    mean = np.mean([exposures(draw.normal(size=16), draw.normal(size=199)).mean() for _ in range(300)])
    assert mean == pytest.approx(1 / math.log(2), abs=0.08)
