"""Curves of trainings are those of the run cards, in the order of roles, and their ends are told in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report.step_figures import draw_curves, memorization_curves
from tests.report.audits import full_audit
from tests.specs.any_card import card


def audit_of(**curves: Any) -> AuditResult:
    """An audit whose models have run cards with these curves; None is a model without a run card."""
    audit = full_audit()
    models = {
        role: replace(
            audit.models["student"], run=None if curve is None else card(memorization_curve=tuple(curve)).summary()
        )
        for role, curve in curves.items()
    }
    return replace(audit, models=models)


def test_models_that_were_measured_have_their_curves() -> None:
    audit = audit_of(student=[(0, 0.0), (9, 0.25)], teacher=[(0, 0.5)], baseline=None)
    assert memorization_curves(audit) == {"teacher": [(0, 0.5)], "student": [(0, 0.0), (9, 0.25)]}
    assert memorization_curves(audit_of(student=[], teacher=None)) == {}


def test_every_curve_is_drawn_in_percent_and_its_ends_are_told() -> None:
    picture = draw_curves({"teacher": [(0, 0.0), (1500, 0.5)], "a model": [(7, 0.25)]}, "p")
    assert " ".join(picture.description.split()) == (
        "teacher: 0.00% at step 0, 50.00% at step 1 500; a model: 25.00% at step 7, 25.00% at step 7"
    )
    for text in ("optimizer steps", "memorized of a sample, %", "teacher", "50"):
        assert f">{text}<" in picture.svg, text
