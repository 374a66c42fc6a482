"""The cells of the diagram cover every way in which three models can recite an example."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from pytest_kdmem.auditing.schema import FurtherInheritance
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.report import html, markdown, terminal
from pytest_kdmem.report.venn import CELLS, INHERITED, diagrams, ordered_roles
from tests.report.audits import complete_audit, full_audit, render_audits


def test_every_cell_is_named_by_its_members_as_inheritance_counts_it() -> None:
    assert {cell.members for cell in CELLS} == {"".join(bits) for bits in product("01", repeat=3)} - {"000"}
    for cell in CELLS:
        flags = (MemorizedFlags.unambiguous(np.array([member == "1"])) for member in cell.members)
        assert Inheritance(*flags, exhaustive=True).cells[cell.key] == 1
    assert next(cell.members for cell in CELLS if cell.key == INHERITED) == "101"


def test_roles_come_first_and_other_models_by_name() -> None:
    model = full_audit().models["student"]
    audit = full_audit(models=dict.fromkeys(("b", "student", "a", "teacher", "baseline"), model))
    assert ordered_roles(audit) == ["teacher", "baseline", "student", "a", "b"]


def further(student: str, digest: str, teacher: str = "teacher", baseline: str = "baseline") -> FurtherInheritance:
    own = full_audit().inheritance
    assert own is not None
    entry = replace(own, model_digest=digest, cells=own.cells | {"teacher+student": 1234})
    return FurtherInheritance(teacher, baseline, student, entry)


def test_what_tests_compared_beside_the_audits_own_models_stands_beside_it() -> None:
    assert diagrams(full_audit(inheritance=None)) == []
    assert [diagram.name for diagram in diagrams(full_audit())] == ["examples"]
    others = (
        further("runs/soft", "1"),
        further("runs/hard on other.jsonl", "2", "teacher on other.jsonl", "runs/x on other.jsonl"),
        further("student", "3", teacher="runs/t"),
    )
    shown = diagrams(full_audit(further_inheritances=others))
    assert [diagram.name for diagram in shown] == [
        "student",
        "runs/soft",
        "runs/hard on other.jsonl against baseline runs/x",
        "student against teacher runs/t",
    ]
    assert [diagram.entry.model_digest for diagram in shown] == ["", "1", "2", "3"]


def test_a_comparison_that_stands_in_the_place_of_the_audits_own_is_shown_once_and_by_its_name() -> None:
    others = (further("runs/soft", "1"), further("runs/hard", "2"))
    shown = diagrams(full_audit(inheritance=others[0].inheritance, further_inheritances=others))
    assert [diagram.name for diagram in shown] == ["runs/soft", "runs/hard"]


def test_every_report_shows_each_student() -> None:
    audit = complete_audit()
    other = further("runs/other", "o")
    audit = replace(audit, further_inheritances=(other,))
    for shown in (render_audits(html.render, audit), render_audits(markdown.render, audit)):
        text = shown.replace("\u00a0", " ")
        assert "1 234" in text
        assert "runs/other" in text
    for verbosity in (0, 1):
        assert "runs/other: inherited" in render_audits(terminal.render, audit, verbosity=verbosity)
