"""Estimates of membership are compared with numbers by their bound, and with another model by pairs of examples."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.estimate import Estimate
from tests.metrics.score_tables import memorization_from, row
from tests.metrics.test_membership import measured


def reason(estimate: Estimate, threshold: Estimate | float, operator: Any = "<=") -> tuple[str, str, str]:
    gate = gate_from("test", "test", estimate.compare(operator, threshold))
    return gate.outcome, gate.reason, gate.next_step


def test_a_model_that_tells_less_than_another_passes_by_pairs_though_the_bounds_overlap() -> None:
    student, baseline = (measured(shift, subject=name) for shift, name in ((0.6, "student"), (0.7, "baseline")))
    assert student.auc.high > baseline.auc.low
    assert student.auc <= baseline.auc
    assert baseline.auc >= student.auc
    assert not baseline.auc <= student.auc
    outcome, text, _ = reason(student.auc, baseline.auc)
    assert outcome == "pass"
    assert text.endswith("of baseline, paired over the same 400 members and 500 controls")


def test_a_lower_rate_passes_where_the_controls_can_show_it() -> None:
    many = {"members": 3_000, "controls": 2_000, "attack": "loss"}
    student, baseline = (measured(shift, subject=name, **many) for shift, name in ((0.3, "student"), (1.5, "baseline")))
    assert student.tpr(0.01) <= baseline.tpr(0.01)
    few = {"controls": 150, "attack": "loss"}
    student, baseline = (measured(shift, subject=name, **few) for shift, name in ((0.3, "student"), (1.5, "baseline")))
    outcome, text, step = reason(student.tpr(0.01), baseline.tpr(0.01))
    assert outcome == "inconclusive"
    assert "is not shown ≤" in text
    assert "At least 408 controls can show it" in step
    assert reason(baseline.tpr(0.01), student.tpr(0.01))[0] == "fail"


def test_a_number_is_held_against_the_bound() -> None:
    rate = measured(0.2, attack="loss").tpr(0.01)
    assert rate <= rate.high
    between = (rate.value + rate.high) / 2
    outcome, _, step = reason(rate, between)
    assert outcome == "fail"
    assert "larger control set" in step
    with pytest.raises(SpecError, match="between 0 and 1"):
        _ = measured(0.2).auc <= 50


def test_what_is_not_alike_is_not_compared() -> None:
    student, baseline = (measured(1.0, subject=name) for name in ("student", "baseline"))
    for first, second in (
        (student.tpr(0.01), baseline.tpr(0.02)),
        (student.auc, baseline.by_attack["loss"].auc),
        (student.auc, measured(1.0, subject="baseline", controls=400).auc),
    ):
        with pytest.raises(SpecError, match="expected"):
            _ = first <= second
    rate = memorization_from([row("a")], subject="student").rate
    for first, second in ((rate, baseline.tpr(0.01)), (student.tpr(0.01), rate)):
        with pytest.raises(SpecError, match="expected"):
            _ = first <= second
    assert reason(student.auc, student.auc)[::2] == (
        "inconclusive",
        "Both sides are figures of the same model: check both.",
    )
    assert "attacked" not in student.auc.to_json()
