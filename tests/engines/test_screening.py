"""The band of examples that float32 decides, on margins of which the change by the fast dtype is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.engines.protocol import Screening
from pytest_kdmem.engines.screening import CONTROL, SAFETY_FACTOR, SAMPLE, Band

STEP = 0.01


class Examples:
    """Least margins of n examples in float32, and by a fast dtype that changes each by up to ``change``."""

    def __init__(self, n: int, *, change: float, seed: int = 0, sure_miss: float = math.inf) -> None:
        random = np.random.default_rng(seed)
        self.exact = random.normal(-1.0, 2.0, n).astype(np.float32)
        self.screened = (self.exact + random.uniform(-change, change, n)).astype(np.float32)
        self.screened[self.screened < -sure_miss] = np.nan
        self.decided = np.full(n, np.nan, np.float32)

    def decide(self, rows):
        assert np.isnan(self.decided[rows]).all(), "an example was decided twice"
        return self.exact[rows]

    def settled(self, width: float = STEP, *, widest: float = math.inf, **settings: float) -> Band:
        band = Band(self.screened, self.decided, width, **settings)
        assert band.settle(self.decide, widest)
        return band

    @property
    def verdicts(self):
        """Whether each example is recited, by the dtype that decided it."""
        return np.where(np.isnan(self.decided), np.nan_to_num(self.screened, nan=-1.0), self.decided) >= 0


@settings(max_examples=60)
@given(n=st.integers(0, 400), change=st.floats(0, 1), seed=st.integers(0, 1000))
def test_verdicts_are_those_of_float32_and_all_in_the_band_is_decided(n, change, seed):
    examples = Examples(n, change=change, seed=seed)
    band = examples.settled()
    assert np.array_equal(examples.verdicts, examples.exact >= 0)
    assert not np.isnan(examples.decided[np.abs(examples.screened) <= band.width]).any()
    assert band.width >= STEP


def test_the_band_is_a_multiple_of_the_largest_change_near_zero():
    examples = Examples(1000, change=0.05)
    band = examples.settled()
    near = np.abs(examples.screened) <= band.width
    changes = np.abs(examples.decided - examples.screened)
    assert 0.02 < changes[near].max() <= 0.05
    assert SAFETY_FACTOR * changes[near].max() <= band.width <= SAFETY_FACTOR * 0.05
    assert band.widened == 0
    # What lies outside is decided as sample and control alone.
    assert SAMPLE // 2 < np.sum(~np.isnan(examples.decided) & ~near) <= SAMPLE + 2 * CONTROL


def test_equal_margins_leave_the_band_as_wide_as_it_was():
    examples = Examples(500, change=0.0)
    assert examples.settled(0.125).width == 0.125


@pytest.mark.parametrize("seed", range(5))
def test_the_control_notices_a_band_that_is_ten_times_too_narrow(seed):
    examples = Examples(2000, change=0.3, seed=seed)
    band = examples.settled(0.001, factor=SAFETY_FACTOR / 10)
    assert band.widened >= 1
    assert np.array_equal(examples.verdicts, examples.exact >= 0)


def test_a_recited_example_that_was_a_sure_miss_widens_the_band():
    examples = Examples(CONTROL, change=0.0)
    examples.screened[:] = np.nan  # all are in the control
    examples.exact[:] = -1.0
    examples.exact[3] = 0.5
    band = Band(examples.screened, examples.decided, STEP)
    assert not band.settle(examples.decide, widest=STEP)  # the sure misses must be screened to the end
    assert (band.widened, band.width) == (1, 2 * STEP)


def test_sure_misses_end_it_when_the_band_reaches_them():
    examples = Examples(1000, change=0.4, sure_miss=0.5)
    band = Band(examples.screened, examples.decided, STEP)
    assert not band.settle(examples.decide, widest=0.5)
    assert band.width > 0.5


def test_counts_of_two_shards_add_up_and_keep_the_wider_band():
    assert Screening(5, 2, 1, 0.5, 0) + Screening(7, 3, 0, 0.25, 1) == Screening(12, 5, 1, 0.5, 1)
