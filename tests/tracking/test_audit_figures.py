"""Figures of an audit have the names that trackers show, and what identifies it holds no text."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.tracking.audit_figures import audit_figures, audit_parameters
from tests.report.audits import complete_audit, full_audit, rate


def test_figures_that_are_not_finite_are_left_out_and_names_made_harmless():
    audit = replace(full_audit(), memorization={"student": rate(0, 0), "a model/of mine: x": rate(1, 10)})
    figures = audit_figures(audit)
    assert "kdmem/student/memorization_rate" not in figures
    assert figures["kdmem/student/memorization_rate_high"] == 1.0
    assert figures["kdmem/a model_of mine_ x/memorization_rate"] == 0.1
    assert "kdmem/predicted_share_at_risk" in audit_figures(complete_audit())


def test_figures_of_canaries_are_named_by_model_and_number_of_copies():
    found = {"exposure, 16 copies": 5.5, "TPR at 0.1% FPR, 1 copy": 0.25, "recited, 1 copy, manifest 0a1b2c3d": 0.0}
    entries = [
        FigureEntry("canaries", "student", label, replace(rate(1, 12), value=value)) for label, value in found.items()
    ]
    figures = audit_figures(replace(full_audit(), figures=(*entries, replace(entries[0], family="copies"))))
    shown = {
        name: value for name, value in figures.items() if "canary" in name and not name.endswith(("_low", "_high"))
    }
    assert shown == {
        "kdmem/student/canary_exposure_16_copies": 5.5,
        "kdmem/student/canary_tpr_at_0_1_fpr_1_copy": 0.25,
        "kdmem/student/canary_recited_1_copy_manifest_0a1b2c3d": 0.0,
    }


def test_an_audit_is_known_by_digests_versions_and_its_name() -> None:
    audit = replace(full_audit(), name="")
    assert audit_parameters(audit) == {
        "kdmem/audit": ".",
        "kdmem/student/digest": "d1",
        "kdmem/teacher/digest": "d3",
        "kdmem/training_set/digest": "d2",
        "kdmem/versions/pytest-kdmem": "0.1.0",
        "kdmem/versions/torch": "2.9",
    }
    named = audit_parameters(replace(audit, name="a", training_set=None, models={"x/y:z": audit.models["student"]}))
    assert (named["kdmem/audit"], named["kdmem/x_y_z/digest"]) == ("a", "d1")
    assert "kdmem/training_set/digest" not in named
