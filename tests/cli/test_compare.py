"""`kdmem compare`: exit code 1 if the student has become worse, over real audits of models that recite known rows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.auditing.schema import RiskEntry
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from tests.audit_project import rows_of_cells
from tests.report.audits import DATA

N = 5000
RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1"


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the first audit are kept for the other tests."""
    return tmp_path_factory.mktemp("large") / "project"


@pytest.fixture
def large(audit_project: Any, first_run: Path) -> Any:
    """An audited project, of whose 5 000 rows all models recite 30, and the baseline 20 more."""
    if first_run.exists():
        shutil.copytree(first_run, audit_project.path, dirs_exist_ok=True)
    else:
        random = np.random.default_rng(0).integers(1, 300, (N - 50, audit_project.cast.rows.shape[1]), dtype=np.int32)
        np.save(audit_project.path / "data.npy", np.concatenate([rows_of_cells(all=30, baseline=20), random]))
        audit_project.gates(RATE)
        audit_project.configure(kdmem_accept_reading="noise")  # most rows are random
        audit_project.run("--kdmem-report=old.json").assert_outcomes(passed=1)
        shutil.copytree(audit_project.path, first_run)
    return audit_project


@pytest.fixture
def compare(large: Any, kdmem: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `kdmem compare` over two reports of the project."""
    monkeypatch.chdir(large.path)
    return lambda old, new: kdmem("compare", large.path / old, large.path / new)


def test_twenty_more_memorized_of_five_thousand_are_a_regression(large, compare):
    large.run(f"--kdmem-student={large.cast.baseline}", "--kdmem-report=new.json").assert_outcomes(passed=1)
    done = compare("old.json", "new.json")
    assert done.code == 1
    assert "worse: memorization rate of student 0.60% → 1.00%, +0.40 points" in done.out
    assert "20 newly, 0 no longer; paired p = 9.5e-07" in done.out
    done = compare("new.json", "old.json")
    assert done.code == 0
    assert "better: memorization rate of student" in done.out
    assert "none has grown worse" in done.out


def test_the_changes_are_written_with_the_second_report(large, compare, kdmem):
    shutil.copy(large.path / "old.json", large.path / "new.json")
    done = kdmem("compare", "old.json", "new.json", "--to", "changes.html", "--to", "changes.json")
    assert (done.code, done.out.splitlines()[-1]) == (0, "report with the changes in changes.json")
    [audit] = read_report("changes.json").audits
    assert [(change.metric, change.outcome) for change in audit.metric_changes] == [("memorization rate", "same")]
    assert "same" in Path("changes.html").read_text()
    for path, message in (("new.json", "would overwrite the second report"), ("a.pdf", "A report ends in one of")):
        done = kdmem("compare", "old.json", "new.json", "--to", path)
        assert done.code == 2
        assert message in done.err


@pytest.mark.parametrize("arguments", [[], ["--kdmem-batch-size=7"], ["--kdmem-dtype=bfloat16"]], ids=str)
def test_the_same_model_scored_twice_has_no_regression(large, compare, arguments):
    large.run(*arguments, "--kdmem-no-cache", "--kdmem-report=new.json").assert_outcomes(passed=1)
    done = compare("old.json", "new.json")
    assert done.code == 0, done.out
    assert "same: memorization rate of student" in done.out


def test_a_result_that_is_no_longer_measured_is_no_pass(large, compare):
    content = json.loads((large.path / "old.json").read_text())
    content["memorization"] = {}
    (large.path / "new.json").write_text(json.dumps(content))
    done = compare("old.json", "new.json")
    assert done.code == 1
    assert "unused: memorization rate of student" in done.out


def test_another_training_set_is_no_pass(large, compare):
    np.save(large.path / "data.npy", np.load(large.path / "data.npy")[:-1])
    large.run("--kdmem-report=new.json").assert_outcomes(passed=1)
    done = compare("old.json", "new.json")
    assert done.code == 1
    assert "refused: memorization rate of student" in done.out
    assert re.search(r"\d+ figures: \d+ that cannot be compared$", done.out.strip())


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema_version": 9}'])
def test_a_file_that_is_no_report_is_one_sentence_and_exit_code_2(large, compare, content):
    if content is not None:
        (large.path / "other.json").write_text(content)
    done = compare("old.json", "other.json")
    assert done.code == 2
    assert done.err.startswith("kdmem: ")
    assert "other.json" in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize("data", ["teacher", "baseline"])
def test_a_training_set_of_a_model_s_name_is_not_taken_for_the_model(large, compare, data):
    """Its share at risk is a figure of what ships, whatever the set is called."""
    content = json.loads((large.path / "old.json").read_text())
    for name, k in (("old.json", 50), ("new.json", 4500)):
        share = estimate_proportion("share at risk", data, Counts(k, N), exhaustive=True)
        entry = RiskEntry(share, share, tuple(range(k)), 0, 0, 0.05, 0.95, (), "teacher and baseline", N, 9, "p", {})
        (large.path / name).write_text(json.dumps(content | {"risk": to_json(entry)}))
    done = compare("old.json", "new.json")
    assert done.code == 1
    assert f"worse: share at risk of {data} 1.00% → 90.00%" in done.out


def test_a_model_whose_name_has_the_words_of_a_set_is_compared_as_well(large, compare):
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
    done = compare("old.json", "new.json")
    assert done.code == 1
    assert "worse: memorization rate of tuned on wiki 0.60% → 1.00%" in done.out
    assert "same: memorization rate of student on more.npy" in done.out


def test_a_report_without_results_of_the_student_is_no_pass(large, compare):
    large.gates("def test_rate(memorization, teacher):\n    assert memorization(teacher).rate <= 1")
    large.run("--kdmem-report=old.json").assert_outcomes(passed=1)
    done = compare("old.json", "old.json")
    assert done.code == 2
    assert "Figures of what ships were expected" in done.err


def test_names_in_a_report_are_no_commands_of_a_ci_runner(large, compare, kdmem):
    content = json.loads((large.path / "old.json").read_text())
    audits = [content | {"name": "::error::pwn"}, content | {"name": "\x1b[31mb"}]
    (large.path / "new.json").write_text(json.dumps({"schema_version": 1, "audits": audits}))
    done = compare("new.json", "new.json")
    assert (done.code, "\x1b" in done.out) == (0, False)
    assert not [line for line in done.out.splitlines() if line.lstrip().startswith("::")]
    (large.path / "bad.json").write_text(json.dumps(content | {"\n::error::pwn": 1}))
    done = kdmem("report", large.path / "bad.json", "--to", "x.md")
    assert done.code == 2
    assert not [line for line in done.err.splitlines() if line.lstrip().startswith("::")]


def test_reports_in_an_object_store_are_compared(kdmem: Any, bucket: Any) -> None:
    for name in ("green", "red"):
        bucket[f"{name}.json"] = (DATA / f"{name}.json").read_bytes()
    there = kdmem("compare", "s3://results/green.json", "s3://results/red.json")
    assert there == kdmem("compare", DATA / "green.json", DATA / "red.json")
    assert there.out
