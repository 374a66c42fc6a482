"""The table of several students is made of their audits, and students that are one model are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.assemble import assemble_report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.students import student_rows, with_same_models_told
from pytest_kdmem.specs.students import student_audit_name
from tests.report.audits import FAILING, PASSING, RUN, full_audit


def student(name: str, place: str = "audits/a", run: dict[str, Any] | None = None, **changed: Any) -> AuditResult:
    audit = full_audit(name=student_audit_name(place, name), student=name, not_run=(), warnings=())
    models = {**audit.models, "student": replace(audit.models["student"], digest=name, run=run)}
    return replace(audit, **{"models": models} | changed)


def run_card(**recipe: Any) -> dict[str, Any]:
    return RUN | {"recipe": {"mode": "soft", "temperature": 2.0, "seed": 7} | recipe}


def test_each_student_has_a_row():
    audits = [full_audit(), student("soft", run=run_card(), gates=(PASSING, FAILING), not_run=("a",)), student("hard")]
    soft, hard = student_rows(audits)
    assert (soft.name, soft.audit, soft.temperature, soft.seed, soft.parameters) == (
        "soft", "audits/a[soft]", 2.0, 7, 70_000
    )  # fmt: skip
    assert (soft.rate, soft.reduction) == (audits[1].memorization["student"], audits[1].inheritance.reduction)
    assert (soft.ratio, soft.gates, soft.failed, soft.not_run) == (audits[1].inheritance.ratio, 2, 1, 1)
    assert (hard.name, hard.temperature, hard.seed) == ("hard", None, None)


def test_a_student_of_which_nothing_was_measured_has_a_row_all_the_same():
    [row] = student_rows([AuditResult("2026", {}, {}, name="[a]", student="a", not_run=("x",))])
    assert (row.parameters, row.rate, row.reduction, row.gates, row.not_run) == (None, None, None, 0, 1)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"mode": "hard"}, (None, 7)),
        ({"mode": "soft", "temperature": "2"}, (None, 7)),
        ({"mode": "on-policy", "temperature": 1}, (1.0, 7)),
        ({"temperature": True, "seed": True}, (None, None)),
        ({"temperature": 3, "seed": None}, (3.0, None)),
    ],
)
def test_a_temperature_is_that_of_a_soft_training(recipe, expected):
    [row] = student_rows([student("a", run=run_card(**recipe))])
    assert (row.temperature, row.seed) == expected
    assert row.mode == recipe.get("mode", "soft")


def test_a_mode_that_is_no_text_is_not_shown():
    [row] = student_rows([student("a", run=run_card(mode=["soft"]))])
    assert row.mode is None


def test_students_of_one_place_that_are_one_model_are_told():
    same = student("b")
    same = replace(same, models={**same.models, "student": student("a").models["student"]})
    audits = with_same_models_told([student("a"), same, student("c"), student("a", place="audits/b"), full_audit()])
    assert [audit.warnings for audit in audits[:4]] == [
        ("students a and b are the same model",),
        ("students b and a are the same model",),
        (),
        (),
    ]
    nodeids = {f"{name}::test": name for name in ("audits/a[a]", "audits/a[b]")}
    assembled = assemble_report([student("a"), same], nodeids)
    assert [audit.warnings for audit in assembled.audits] == [audit.warnings for audit in audits[:2]]
