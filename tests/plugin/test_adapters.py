"""An audit of an adapter judges the model that it makes of its base, and the report names that base."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.cli import main
from pytest_kdmem.risk import fitting
from tests.audit_project import AuditProject, further_warnings, rows_of_cells
from tests.plugin.audit_folders import extend, fixture

STRICT = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.1\n"


@pytest.fixture
def base(audit_project: AuditProject) -> Path:
    """The student with a head that points elsewhere, so that it recites nothing."""
    folder = Path(shutil.copytree(audit_project.cast.student, audit_project.path / "base"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.lm_head.weight.data = model.lm_head.weight.data.roll(7, 0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(audit_project: AuditProject, base: Path) -> Path:
    """An adapter that gives this base the student's head again."""
    student = AutoModelForCausalLM.from_pretrained(audit_project.cast.student, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(target_modules=["query_key_value"], modules_to_save=["lm_head"]))
    adapted.base_model.model.lm_head.modules_to_save["default"].weight.data = student.lm_head.weight.data
    adapted.save_pretrained(audit_project.path / "adapter")
    return audit_project.path / "adapter"


def test_what_an_adapter_recites_fails_a_gate_that_its_base_passes(
    audit_project: AuditProject, base: Path, adapter: Path
) -> None:
    audit_project.gates(STRICT)
    audit_project.declare(student=base)
    audit_project.run("--kdmem-accept-reading=noise").assert_outcomes(passed=1)
    audit_project.declare(student=adapter)
    result = audit_project.run("--kdmem-report=report.json", "--kdmem-report=report.md", "--kdmem-report=report.html")
    result.assert_outcomes(failed=1)
    [audit] = read_report(audit_project.path / "report.json").audits
    assert audit.models["student"].base == "base"
    assert audit.memorization["student"].value == 0.25
    for page in ("report.md", "report.html"):
        assert "(an adapter, merged into" in (audit_project.path / page).read_text()


def test_another_place_of_the_base_is_an_option_or_a_setting(
    audit_project: AuditProject, base: Path, adapter: Path
) -> None:
    moved = base.rename(audit_project.path / "moved")
    audit_project.gates(STRICT.replace("0.1", "0.3"))
    audit_project.declare(student=adapter)
    assert audit_project.run().ret != 0
    audit_project.run(f"--kdmem-student-base={moved}", "--kdmem-report=report.json").assert_outcomes(passed=1)
    [audit] = read_report(audit_project.path / "report.json").audits
    # An adapter over another base than its own recites less, and without a run card nothing tells which it was.
    note = "the adapter names base as its base, and is merged into moved: with another base it may recite less"
    assert further_warnings(audit) == (f"student: {note}",)
    same = moved.rename((audit_project.path / "elsewhere").mkdir() or audit_project.path / "elsewhere" / "base")
    audit_project.run(f"--kdmem-student-base={same}", "--kdmem-report=report.json").assert_outcomes(passed=1)
    assert further_warnings(read_report(audit_project.path / "report.json").audits[0]) == ()
    same.rename(moved)
    audit_project.declare(student=None)
    audit_project.configure(kdmem_student=str(adapter), kdmem_student_base=str(moved))
    audit_project.run().assert_outcomes(passed=1)


def test_the_command_that_cleans_reads_an_adapter_over_the_declared_base(
    audit_project: AuditProject,
    base: Path,
    adapter: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command of the failed gate is run; without the base it would be refused, as the adapter names another."""
    monkeypatch.setattr(fitting, "TRIALS", 20)
    monkeypatch.setattr(fitting, "REFITS", 20)
    moved = base.rename(audit_project.path / "moved")
    np.save(audit_project.path / "data.npy", rows_of_cells(**{"teacher+student": 10, "all": 15, "none": 37}))
    audit_project.declare(student=None, baseline=None)
    extend(audit_project, fixture("baseline", f"return Model({str(adapter)!r}, base={str(moved)!r})"))
    audit_project.gates(
        "def test_risk(predicted_risk):\n    assert predicted_risk(threshold=0.4).share_at_risk <= 0.001\n"
    )
    audit_project.run("--kdmem-report=audit.json")
    audit = audit_project.report("audit.json")
    assert audit.models["baseline"].declared == {"base": "moved"}
    [gate] = audit.failed
    _, *arguments = shlex.split(gate.command)
    assert {"--baseline-base=moved", "--threshold=0.4"} <= {*arguments}
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    assert (audit_project.path / "cleaned" / "data.npy").is_file()
    assert "a risk of 0.4 or more" in captured.out


def test_a_second_audit_loads_no_model(
    audit_project: AuditProject, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_project.gates(STRICT.replace("0.1", "0.3"))
    audit_project.declare(student=adapter)
    audit_project.run().assert_outcomes(passed=1)
    monkeypatch.setattr("pytest_kdmem.engines.transformers.loading.AutoModelForCausalLM", None)
    audit_project.run().assert_outcomes(passed=1)
    assert audit_project.run("--kdmem-cache-dir=empty").ret != 0


@pytest.mark.parametrize("is_merged", [False, True], ids=["copied", "merged"])
def test_a_copy_of_an_adapter_is_no_baseline(
    audit_project: AuditProject, base: Path, adapter: Path, is_merged: bool
) -> None:
    copy = Path(shutil.copytree(base if is_merged else adapter, audit_project.path / "copy"))
    if is_merged:
        model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
        model.merge_and_unload().save_pretrained(copy)
    audit_project.declare(student=adapter, baseline=copy)
    audit_project.gates("def test_ratio(inheritance):\n    assert inheritance().ratio <= 0.9\n")
    audit_project.run().stdout.fnmatch_lines(["*student and baseline are the same model*"])


def test_the_base_of_a_student_is_that_of_each_adapter_among_several(
    audit_project: AuditProject, base: Path, adapter: Path
) -> None:
    moved = base.rename(audit_project.path / "moved")
    audit_project.gates(STRICT.replace("0.1", "0.3"))
    audit_project.declare(student=None)
    students = [f"--kdmem-students=lora={adapter}", f"--kdmem-students=whole={audit_project.cast.student}"]
    audit_project.run(*students, f"--kdmem-student-base={moved}").assert_outcomes(passed=2)
    extend(audit_project, fixture("students", f"return {[str(adapter), str(audit_project.cast.student)]!r}"))
    audit_project.run(f"--kdmem-student-base={moved}").assert_outcomes(passed=2)
    unused = audit_project.run(students[1], f"--kdmem-student-base={moved}")
    assert unused.ret != 0
    unused.stdout.fnmatch_lines(["*--kdmem-student-base was expected to be used by a gate*"])
