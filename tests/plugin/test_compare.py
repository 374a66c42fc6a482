"""`kdmem compare`: exit 1 for what ships and has grown worse, over real audits of models that are known to recite."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pytest_kdmem.cli import app, main

N = 5000
RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1"


@pytest.fixture
def large(audit_project: Any) -> Any:
    """Of 5 000 rows all models recite 30, and the baseline 20 more."""
    random = np.random.default_rng(0).integers(1, 300, (N - 50, audit_project.cast.rows.shape[1]), dtype=np.int32)
    rows = np.concatenate([audit_project.rows(all=30, baseline=20), random])
    np.save(audit_project.path / "data.npy", rows)
    audit_project.gates(RATE)
    audit_project.run("--kdmem-report=old.json").assert_outcomes(passed=1)
    return audit_project


def compared(project: Any, old: str, new: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["compare", str(project.path / old), str(project.path / new)])
    return ended.exit_code, ended.output


def test_a_planted_regression_of_twenty_in_five_thousand_is_found(large):
    large.run(f"--kdmem-student={large.cast.baseline}", "--kdmem-report=new.json").assert_outcomes(passed=1)
    code, said = compared(large, "old.json", "new.json")
    assert code == 1
    assert "worse: memorization rate of student 0.60% → 1.00%, +0.40%" in said
    assert "20 newly, 0 no longer; paired p = 9.5e-07" in said
    code, said = compared(large, "new.json", "old.json")
    assert code == 0
    assert "better: memorization rate of student" in said
    assert "none has grown worse" in said


@pytest.mark.parametrize("arguments", [[], ["--kdmem-batch-size=7"], ["--kdmem-dtype=bfloat16"]], ids=str)
def test_the_same_model_scored_twice_is_quiet(large, arguments):
    large.run(*arguments, "--kdmem-no-cache", "--kdmem-report=new.json").assert_outcomes(passed=1)
    code, said = compared(large, "old.json", "new.json")
    assert code == 0, said
    assert "same: memorization rate of student" in said


def test_what_is_no_longer_measured_is_no_pass(large):
    content = json.loads((large.path / "old.json").read_text())
    content["memorization"] = {}
    (large.path / "new.json").write_text(json.dumps(content))
    code, said = compared(large, "old.json", "new.json")
    assert code == 1
    assert "unused: memorization rate of student" in said


def test_another_training_set_is_no_pass(large):
    np.save(large.path / "data.npy", np.load(large.path / "data.npy")[:-1])
    large.run("--kdmem-report=new.json").assert_outcomes(passed=1)
    code, said = compared(large, "old.json", "new.json")
    assert code == 1
    assert "refused: memorization rate of student" in said


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema_version": 9}'])
def test_what_is_no_report_is_a_sentence_and_exit_2(large, capsys, content):
    path = large.path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(large.path / "old.json"), str(path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("kdmem: ")
    assert "other.json" in said
    assert "\n" not in said
