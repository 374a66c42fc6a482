"""A gate on canaries passes only where the data show it, against a number and against another model."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.auditing.gates import explain, gate_from
from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.mean_bounds import upper_bound_of_mean
from tests.canaries.canary_scores import scores_of


def test_an_upper_bound_decides_and_not_the_mean() -> None:
    exposure = scores_of(60, 511, shift={16: 0.0}).exposure(16)
    assert exposure <= exposure.high + 0.01
    assert not exposure <= exposure.value + 0.01
    comparison = exposure.compare("<=", exposure.value + 0.01)
    gate = gate_from("test", "test", comparison)
    assert gate.outcome == "fail"
    assert gate.reason.startswith(f"canary exposure (16 copies) of student {exposure.value:.2f} bits [≤ ")
    assert "(60 canaries) > " in gate.reason
    assert "kdmem canaries make --count" in gate.next_step


def test_a_threshold_that_no_exposure_can_exceed_is_refused() -> None:
    """It would pass whatever the model shows."""
    exposure = scores_of(16, 511, shift={16: 50.0}).exposure(16)
    for threshold in (9.0, 10, 1e9, float("inf")):
        with pytest.raises(SpecError, match=r"below 9\.00 bits was expected, as 511 twins can show no more"):
            exposure <= threshold  # noqa: B015
    assert not exposure <= 8.99


def test_too_few_canaries_for_a_threshold_are_inconclusive_and_enough_are_named() -> None:
    recited = scores_of(16, 200, shift={16: 0.0}).recited(16)
    verdict = judge(recited.compare("<=", 0.05))
    assert verdict.outcome == "inconclusive"
    assert "59 canaries" in verdict.remedy
    assert scores_of(59, 200, shift={16: 0.0}).recited(16) <= 0.05
    assert not scores_of(58, 200, shift={16: 0.0}).recited(16) <= 0.05
    low = scores_of(16, 511, shift={16: -50.0}).exposure(16)
    assert judge(low.compare("<=", 0.5)).outcome == "inconclusive"
    assert judge(low.compare("<=", 0)).remedy == "No number of canaries can show it."
    # What is shown to be above it fails, however few there are.
    assert judge(scores_of(16, 511, shift={16: 50.0}).exposure(16).compare("<=", 0.5)).outcome == "fail"


def test_two_models_are_compared_canary_by_canary() -> None:
    student = scores_of(16, 511, shift={1: 0.0, 16: 0.0}, draw=np.random.default_rng(1))
    baseline = scores_of(16, 511, shift={1: 1.0, 16: 9.0}, subject="baseline", draw=np.random.default_rng(2))
    first, second = student.exposure(16), baseline.exposure(16)
    assert first <= second
    assert second >= first
    assert "paired over the same 16 canaries" in gate_from("t", "t", first.compare("<=", second)).reason
    assert not second <= first
    assert not student.exposure(1) <= baseline.exposure(1)
    bound = upper_bound_of_mean(first.over.most - second.over.most + 9, 18, 0.95) - 9
    assert bound <= 0
    # Above 8.99 of 9 bits neither model is shown to expose less.
    saturated = scores_of(16, 511, shift={16: 50.0}).exposure(16)
    assert not saturated <= scores_of(16, 511, shift={16: 51.0}, subject="baseline").exposure(16)
    assert student.tpr(0.05, 16) <= baseline.tpr(0.05, 16)
    assert not baseline.tpr(0.05, 16) <= student.tpr(0.05, 16)
    [reason, *_] = explain("<=", student.tpr(0.05, 16), baseline.tpr(0.05, 16))
    assert "paired over the same 16 canaries and 511 twins" in reason


def test_a_paired_comparison_that_is_at_its_limit_holds_in_at_most_5_of_100_draws() -> None:
    """Both models prefer the canaries as much, each canary by its own chance."""
    draw = np.random.default_rng(3)
    held = []
    for _ in range(300):
        student, baseline = (
            scores_of(16, 200, shift={4: 1.0}, subject=subject, draw=draw) for subject in ("student", "baseline")
        )
        held.append((student.exposure(4) <= baseline.exposure(4), student.tpr(0.05) <= baseline.tpr(0.05)))
    assert np.mean(held, axis=0).max() <= 0.05


def test_figures_over_other_canaries_or_of_one_model_are_not_compared() -> None:
    student = scores_of(16, 200, shift={1: 0.0, 16: 1.0})
    others = scores_of(16, 200, shift={1: 0.0, 16: 1.0}, subject="baseline", over="others")
    for figure in ("exposure", "recited"):
        with pytest.raises(SpecError, match="same canaries in the same training set"):
            getattr(student, figure)(16) <= getattr(others, figure)(16)  # noqa: B015
        with pytest.raises(SpecError, match=r"\(1 copy\)"):
            getattr(student, figure)(16) <= getattr(others, figure)(1)  # noqa: B015
    with pytest.raises(SpecError, match="same canaries, twins"):
        student.tpr(0.05, 16) <= others.tpr(0.05, 16)  # noqa: B015
    verdict = judge(student.exposure(16).compare("<=", scores_of(16, 200, shift={1: 0.0, 16: 1.0}).exposure(16)))
    assert (verdict.outcome, verdict.defined) == ("inconclusive", False)
