"""The figures of canaries have the bounds that they promise, and refuse what would show nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.errors import ComparisonError, SpecError
from tests.canaries.canary_scores import scores_of

# The true rate at 5 % FPR of canaries whose scores lie one standard deviation above those of the twins.
TRUE_TPR = 0.2595


def test_exposure_has_bounds_in_bits_and_a_greatest_value() -> None:
    measured = scores_of(16, 511, shift={1: 0.0, 16: 50.0})
    exposure = measured.exposure(16)
    assert (exposure.value, exposure.high, measured.greatest) == (9.0, 9.0, 9.0)
    assert exposure.low < 9
    assert str(measured.exposure(1)).endswith("(16 canaries)")
    assert f"{exposure.value:.2f} bits" in str(exposure)
    assert (exposure.metric, exposure.unit, exposure.n, exposure.k) == ("canary exposure (16 copies)", "bits", 16, None)
    assert measured.exposure(1).metric == "canary exposure (1 copy)"


def test_bounds_of_exposure_and_tpr_hold_as_often_as_they_say() -> None:
    """Canaries and twins are drawn anew each time, so the twins' own chance is in it."""
    draw = np.random.default_rng(1)
    expected = np.mean([math.log2(400 / rank) for rank in range(1, 401)])
    runs = [scores_of(40, 399, shift={1: 0.0, 4: 1.0}, draw=draw) for _ in range(400)]
    never = [run.exposure(1) for run in runs]
    assert np.mean([exposure.value for exposure in never]) == pytest.approx(expected, abs=0.05)
    assert np.mean([exposure.low <= expected for exposure in never]) >= 0.95
    assert np.mean([exposure.high >= expected for exposure in never]) >= 0.95
    for copies, rate in ((1, 0.05), (4, TRUE_TPR)):
        found = [run.tpr(0.05, copies) for run in runs]
        assert np.mean([tpr.value for tpr in found]) == pytest.approx(rate, abs=0.02)
        assert np.mean([tpr.low <= rate for tpr in found]) >= 0.95
        assert np.mean([tpr.high >= rate for tpr in found]) >= 0.95


def test_all_canaries_are_found_and_recited_together_but_not_exposed() -> None:
    measured = scores_of(16, 200, shift={1: 0.0, 16: 50.0})
    together = measured.tpr(0.05)
    assert (together.metric, together.n) == ("canary TPR at 5% FPR", 32)
    assert together.k == measured.tpr(0.05, 1).k + measured.tpr(0.05, 16).k
    assert measured.recited().n == 32
    with pytest.raises(SpecError, match="one of 1, 16: write copies="):
        measured.exposure()
    assert scores_of(4, 100, shift={4: 0.0}).exposure().n == 4


def test_ambiguous_recitation_counts_against_the_model() -> None:
    measured = scores_of(
        4, 100, shift={1: 0.0}, memorized=[True, True, False, False], ambiguous=[False, True, True, False]
    )
    recited = measured.recited(1)
    assert (recited.k, recited.ambiguous, recited.n) == (2, 2, 4)
    assert recited.low == pytest.approx(1 - 0.95 ** (1 / 4))
    assert recited.high == pytest.approx(0.95 ** (1 / 4))


@pytest.mark.parametrize("copies", [2, 0, True, "16"])
def test_a_number_of_copies_that_none_has_is_refused(copies: object) -> None:
    measured = scores_of(4, 100, shift={1: 0.0, 16: 0.0})
    for figure in (measured.exposure, lambda copies: measured.tpr(0.05, copies), measured.recited):
        with pytest.raises(SpecError, match="one of 1, 16"):
            figure(copies)


@pytest.mark.parametrize(
    ("fpr", "message"), [(0.001, "At least 1 000 twins"), (0, "between 0 and 1"), (1.0, "0 and 1")]
)
def test_a_rate_that_the_twins_cannot_show_is_refused(fpr: float, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        scores_of(4, 200, shift={1: 0.0}).tpr(fpr)


def test_canaries_are_no_truth_and_show_no_text() -> None:
    measured: MeasuredCanaries = scores_of(4, 100, shift={1: 0.0})
    with pytest.raises(ComparisonError, match="neither true nor false"):
        bool(measured)
    assert repr(measured) == "MeasuredCanaries(student: 4 canaries, 100 twins)"
