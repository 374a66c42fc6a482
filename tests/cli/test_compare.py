"""`kdmem compare`: exit 1 for what ships and has grown worse, over real audits of models that are known to recite."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pytest_kdmem.audit.schema import RiskEntry
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.cli import app, main
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion

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


@pytest.mark.parametrize("data", ["teacher", "baseline"])
def test_a_training_set_of_a_model_s_name_is_not_taken_for_the_model(large, data):
    """Its share at risk is a figure of what ships, whatever the set is called."""
    content = json.loads((large.path / "old.json").read_text())
    for name, k in (("old.json", 50), ("new.json", 4500)):
        share = estimate_proportion("share at risk", data, Counts(k, N), exhaustive=True)
        entry = RiskEntry(share, share, tuple(range(k)), 0, 0, 0.05, 0.95, (), "teacher and baseline", N, 9, "p", {})
        (large.path / name).write_text(json.dumps(content | {"risk": to_json(entry)}))
    code, said = compared(large, "old.json", "new.json")
    assert code == 1
    assert f"worse: share at risk of {data} 1.00% → 90.00%" in said


def test_a_model_whose_name_has_the_words_of_a_set_is_compared_as_well(large):
    """The rate of a model without a role counts, and so does one over another set."""
    np.save(large.path / "more.npy", large.rows(all=2, none=30))
    for name, student in (("old", "student"), ("new", "baseline")):
        link = large.path / "tuned on wiki"
        link.unlink(missing_ok=True)
        link.symlink_to(getattr(large.cast, student))
        large.gates(
            "from pytest_kdmem import Model, TrainingSet\n\n\ndef test_rate(memorization, student):\n"
            "    assert memorization(student).rate <= 1\n"
            "    assert memorization(Model('tuned on wiki')).rate <= 1\n"
            "    assert memorization(student, TrainingSet('more.npy')).rate <= 1\n"
        )
        large.run(f"--kdmem-report={name}.json").assert_outcomes(passed=1)
        np.save(large.path / "more.npy", large.rows(all=2, none=30))
    code, said = compared(large, "old.json", "new.json")
    assert code == 1
    assert "worse: memorization rate of tuned on wiki 0.60% → 1.00%" in said
    assert "same: memorization rate of student on more.npy" in said


def test_where_nothing_ships_there_is_nothing_to_pass(large, capsys):
    large.gates("def test_rate(memorization, teacher):\n    assert memorization(teacher).rate <= 1")
    large.run("--kdmem-report=old.json").assert_outcomes(passed=1)
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(large.path / "old.json"), str(large.path / "old.json")])
    assert ended.value.code == 2
    assert "Figures of what ships were expected" in capsys.readouterr().err


def test_names_are_no_commands_of_a_runner(large, capsys):
    content = json.loads((large.path / "old.json").read_text())
    both = {"schema_version": 1, "audits": [content | {"name": "::error::pwn"}, content | {"name": "\x1b[31mb"}]}
    (large.path / "new.json").write_text(json.dumps(both))
    code, said = compared(large, "new.json", "new.json")
    assert (code, "\x1b" in said) == (0, False)
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::")]
    (large.path / "bad.json").write_text(json.dumps(content | {"\n::error::pwn": 1}))
    with pytest.raises(SystemExit):
        main(["report", str(large.path / "bad.json"), "--to", "x.md"])
    assert not [line for line in capsys.readouterr().err.splitlines() if line.lstrip().startswith("::")]
