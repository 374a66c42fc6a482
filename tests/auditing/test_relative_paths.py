"""No path of a report tells where on a machine the audits lay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.relative_paths import with_relative_paths
from pytest_kdmem.auditing.result import AuditResult
from tests.report.audits import FAILING, full_audit

ROOT = Path("/home/ann/work")


def audit_below(folder: str) -> AuditResult:
    """An audit whose sources are declared by absolute paths."""
    audit = full_audit()
    assert audit.training_set is not None
    student = replace(
        audit.models["student"], source=f"{folder}/runs/student", declared={"base": f"{folder}/runs/base"}
    )
    data = replace(audit.training_set, source=f"{folder}/data/train.jsonl")
    command = f"kdmem prefilter {folder}/data/train.jsonl --teacher={folder}/runs/teacher '--out={folder}/a b'"
    failing = replace(FAILING, reason=f"A model was expected at {folder}/runs/x.", command=command)
    return replace(
        audit,
        settings={"report": [f"{folder}/a.html"], "cache_dir": f"{folder}/cache", "seed": 1},
        models={"student": student, student.source: student},
        training_set=data,
        control_set=data,
        teacher_set=data,
        other_sets={"other": data},
        gates=(failing,),
        warnings=(f"the card of '{folder}/runs/student' is old",),
    )


def test_paths_below_the_root_are_relative_to_it() -> None:
    result = with_relative_paths(audit_below(str(ROOT)), ROOT)
    assert result.models["student"].source == "runs/student"
    assert result.models["student"].declared == {"base": "runs/base"}
    sets = (result.training_set, result.control_set, result.teacher_set, result.other_sets["other"])
    assert {entry.source for entry in sets if entry is not None} == {"data/train.jsonl"}
    assert result.settings == {"report": ["a.html"], "cache_dir": "cache", "seed": 1}
    (gate,) = result.gates
    assert gate.reason == "A model was expected at runs/x."
    assert gate.command == "kdmem prefilter data/train.jsonl --teacher=runs/teacher '--out=a b'"
    assert result.warnings == ("the card of 'runs/student' is old",)


def test_figures_of_models_without_a_role_are_still_found_by_its_source() -> None:
    result = with_relative_paths(audit_below(str(ROOT)), ROOT)
    assert result.models[f"{ROOT}/runs/student"].source == f"{ROOT}/runs/student"


def test_commands_are_relative_to_the_folder_that_they_will_be_run_in() -> None:
    (gate,) = with_relative_paths(audit_below(str(ROOT)), ROOT, "..").gates
    assert gate.command == "kdmem prefilter ../data/train.jsonl --teacher=../runs/teacher '--out=../a b'"
    assert gate.reason == "A model was expected at runs/x."


@pytest.mark.parametrize("folder", ["/data/home/ann/work", "/home/ann/workshop", "/home/ann", "hub"])
def test_other_paths_are_kept(folder: str) -> None:
    audit = audit_below(folder)
    assert with_relative_paths(audit, ROOT) == audit


def test_below_the_root_of_the_machine_nothing_is_changed() -> None:
    audit = audit_below("/data")
    assert with_relative_paths(audit, Path("/")) == audit
