"""The gate of a training set before any student is distilled: `predicted_risk`, its options, and its report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.audit_project import NOISE, PREFIX, SUFFIX, rows_of_cells

GATE = """
def test_set(predicted_risk, thresholds):
    assert predicted_risk().share_at_risk <= thresholds.max_predicted_risk
"""
# Rows by cell: 25 of 100 are recited by teacher and baseline, 15 of them by the student, too.
ROWS = {"teacher+baseline": 10, "all": 15, "none": 37, "teacher": 20, "student": 18}


@pytest.fixture(scope="session")
def predicted(cast, imported, tmp_path_factory):
    """A folder with ``predictor.json``, fitted to the rows, and with the store in which it was fitted."""
    from pytest_kdmem.risk.label_source import LabelSource
    from pytest_kdmem.risk.pipeline import RiskPipeline
    from pytest_kdmem.risk.predictor_file import predictor_from_json, write_predictor
    from pytest_kdmem.scoring.store import ScoreStore

    folder = tmp_path_factory.mktemp("predicted")
    np.save(folder / "data.npy", rows_of_cells(**ROWS))
    pipeline = RiskPipeline(
        Model(cast.teacher),
        Model(cast.baseline),
        TrainingSet(folder / "data.npy"),
        Extraction(PREFIX, SUFFIX),
        ScoreStore(folder / "store"),
        RunSettings(),
    )
    pipeline.predict(pipeline.score_pair(), LabelSource())
    [stored] = (folder / "store/predictors").glob("*.json")
    content = json.loads(stored.read_text())
    predictor = {key: value for key, value in content.items() if key not in ("checksum", "format", "key")}
    write_predictor(predictor_from_json(predictor), folder / "predictor.json")
    return folder


@pytest.fixture
def quick_fits(monkeypatch):
    """A predictor that is fitted anew has 20 trials and refits in place of 100."""
    from pytest_kdmem.risk import fitting

    monkeypatch.setattr(fitting, "TRIALS", 20)
    monkeypatch.setattr(fitting, "REFITS", 20)


@pytest.fixture
def unscored(unscored_project, quick_fits):
    """An audit of a training set, without a student."""
    unscored_project.declare(student=None)
    np.save(unscored_project.path / "data.npy", rows_of_cells(**ROWS))
    unscored_project.gates(GATE)
    return unscored_project


@pytest.fixture
def project(unscored, predicted):
    """The same audit, scored and predicted before."""
    shutil.copytree(predicted / "store", unscored.path / ".kdmem")
    return unscored


@pytest.fixture
def saved(project, predicted):
    """A predictor fitted to the project's own rows."""
    return Path(shutil.copy(predicted / "predictor.json", project.path))


def test_a_set_that_would_be_recited_does_not_pass_and_says_what_to_do(project):
    result = project.run("-v", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [line] = project.failures(result)
    assert "share at risk of data 28.00%" in line
    assert line.endswith("(28 of 100) > 0.50%")
    result.stdout.fnmatch_lines(["*Write a training set without the examples at risk: kdmem prefilter TRAINING_SET*"])
    result.stdout.fnmatch_lines(["predicted risk: 28.00%* memorized expected*", "predictor *: from 25 of 100 that*"])
    assert project.report("audit.json").risk is not None


def test_it_passes_at_its_figure_and_needs_no_student(project):
    assert project.run("--kdmem-max-predicted-risk=0.5", "--kdmem-report=audit.json").ret == pytest.ExitCode.OK
    audit = project.report("audit.json")
    assert set(audit.models) == {"teacher", "baseline"}
    assert set(audit.risk.examples) >= set(range(25))
    assert audit.risk.labels == "teacher and baseline"
    assert (audit.risk.positives, audit.risk.fitted_to) == (25, 100)
    assert audit.risk.expected_memorized.low <= 25 <= audit.risk.expected_memorized.high
    assert audit.training_set.distinct == 100


def test_its_report_comes_back_and_older_ones_have_none(project):
    project.run("--kdmem-report=audit.json")
    content = json.loads((project.path / "audit.json").read_text())
    [audit] = read_report(project.path / "audit.json").audits
    assert audit.to_json() == content
    del content["risk"]
    (project.path / "old.json").write_text(json.dumps(content))
    assert project.report("old.json").risk is None


def test_verdicts_of_its_pass_serve_the_other_gates(unscored):
    unscored.run().assert_outcomes(failed=1)
    before = {path: path.stat().st_mtime_ns for path in unscored.shards}
    assert len(before) == 3  # teacher, baseline, and how far they are apart
    unscored.gates(
        GATE
        + """
def test_teacher(memorization, teacher, baseline):
    assert memorization(teacher).rate <= 1
    assert memorization(baseline).rate <= 1
    assert memorization(baseline, metrics="all").loss <= 100
"""
    )
    unscored.run("--kdmem-max-predicted-risk=0.5").assert_outcomes(passed=2)
    assert {path: path.stat().st_mtime_ns for path in unscored.shards} == before


def test_a_fitted_predictor_is_kept_and_fitted_anew_if_it_is_damaged(unscored):
    unscored.run("--kdmem-report=first.json")
    [kept] = (unscored.path / ".kdmem/predictors").glob("*.json")
    written = kept.stat().st_mtime_ns, kept.stat().st_ino
    unscored.run("--kdmem-report=second.json")
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == written
    kept.write_text(kept.read_text().replace("0.1", "0.2"))
    unscored.run("--kdmem-report=third.json")
    first, second, third = (unscored.report(f"{name}.json").to_json()["risk"] for name in ("first", "second", "third"))
    assert first == second == third


def test_labels_may_come_from_an_earlier_student(project):
    student = project.cast.student
    project.run(f"--kdmem-labels-from={student}", "--kdmem-max-predicted-risk=0.99", "--kdmem-report=audit.json")
    risk = project.report("audit.json").risk
    assert risk.labels == student.name
    assert risk.positives == 33  # those that student alone recites are no less memorized


def test_what_is_set_for_the_run_goes_before_what_the_test_asks_for(project):
    project.gates("""
        def test_set(predicted_risk):
            assert predicted_risk(labels_from="nowhere/at-all", threshold=0.9).share_at_risk <= 1
    """)
    result = project.run("--kdmem-labels-from=both", "--kdmem-risk-threshold=0.2", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.OK
    assert project.report("audit.json").risk.threshold == pytest.approx(0.2)


def test_a_test_goes_before_the_configuration(project):
    project.configure(kdmem_labels_from="nowhere/at-all")
    project.gates("""
        def test_set(predicted_risk):
            assert predicted_risk(labels_from="both", threshold=0.3).share_at_risk <= 1
    """)
    assert project.run("--kdmem-report=audit.json").ret == pytest.ExitCode.OK
    assert project.report("audit.json").risk.threshold == pytest.approx(0.3)


def test_a_predictor_fitted_before_gates_a_set_that_has_nothing_to_learn_from(project, saved):
    np.save(project.path / "data.npy", rows_of_cells(none=37, student=18))
    refused = project.run(NOISE)
    [line] = project.failures(refused)
    assert "At least 10 memorized examples are needed to learn what is at risk; found 0 of 55, by teacher" in line
    result = project.run(f"--kdmem-predictor={saved}", "--kdmem-max-predicted-risk=0.06", NOISE)
    assert result.ret == pytest.ExitCode.OK  # at the figure of a set that is none the riskier for it: 3 of 55


def test_a_predictor_of_other_lengths_or_a_changed_one_gates_nothing(project, saved):
    for arguments, words in (
        (["--kdmem-prefix-tokens=10"], "A predictor of lengths 10, 8, 256 (prefix, suffix, window) was expected"),
        (["--kdmem-labels-from=both"], "Either labels or a fitted predictor was expected"),
    ):
        result = project.run(f"--kdmem-predictor={saved}", *arguments)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert any(words in line for line in project.failures(result)), project.failures(result)
    saved.write_text(saved.read_text().replace('"positives": 25', '"positives": 24'))
    result = project.run(f"--kdmem-predictor={saved}")
    assert any("was changed after it was written" in line for line in project.failures(result))


def test_a_threshold_that_finds_too_little_gates_nothing(project):
    result = project.run("--kdmem-risk-threshold=0.999999")
    [line] = project.failures(result)
    assert "A risk threshold that finds at least 50.00% of what is memorized was expected" in line


@pytest.mark.parametrize("value", ["0", "1", "two"])
def test_a_threshold_that_is_no_probability_is_refused_at_once(project, value):
    assert project.run(f"--kdmem-risk-threshold={value}").ret == pytest.ExitCode.USAGE_ERROR


def test_models_of_two_tokenizers_are_refused_before_anything_is_scored(unscored, make_model):
    unscored.declare(student=None, baseline=make_model(seed=4))
    result = unscored.run()
    assert any("The same tokenizer was expected" in line for line in unscored.failures(result))
    assert not unscored.shards


def test_parts_score_the_pair_and_hold_no_gate(unscored):
    for part in ("1/2", "2/2"):
        unscored.run(f"--kdmem-shard={part}").assert_outcomes(skipped=1)
    assert len(unscored.shards) == 3  # teacher, baseline, and how far they are apart
    unscored.run("--kdmem-max-predicted-risk=0.5").assert_outcomes(passed=1)


def test_a_sample_has_wider_bounds(project):
    project.run("--kdmem-sample=80", "--kdmem-report=audit.json")
    share = project.report("audit.json").risk.share_at_risk
    assert not share.exhaustive
    assert share.high > share.value + 0.05
    assert project.report("audit.json").risk.exact_duplicates is None


def test_the_one_of_labels_and_predictor_that_is_set_for_the_run_goes_before_the_other(project, saved):
    project.configure(kdmem_predictor=str(saved))
    assert "found both" not in project.run("--kdmem-labels-from=both", "--kdmem-max-predicted-risk=0.99").stdout.str()
    project.configure(kdmem_labels_from="nowhere/at-all")
    project.run(f"--kdmem-predictor={saved}", "--kdmem-max-predicted-risk=0.99").assert_outcomes(passed=1)


def test_what_is_wrong_with_a_predictor_is_told_before_anything_is_scored(unscored):
    (unscored.path / "predictor.json").write_text("{}")
    result = unscored.run("--kdmem-predictor=predictor.json")
    assert any("A predictor was expected in" in line for line in unscored.failures(result))
    assert not unscored.shards


def test_no_text_is_in_report_or_cache(unscored_project, quick_fits):
    texts = [" ".join(f"zq{token:03d}x" for token in row) for row in rows_of_cells(**ROWS).tolist()]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (unscored_project.path / "data.jsonl").write_text(lines)
    unscored_project.declare(student=None, data='TrainingSet("data.jsonl")')
    unscored_project.gates(GATE)
    result = unscored_project.run("--kdmem-report=audit.json")
    kept = [path for path in unscored_project.path.rglob("*") if path.is_file() and path.name != "data.jsonl"]
    assert any(path.name == "audit.json" for path in kept)
    assert not [path for path in kept if b"zq2" in path.read_bytes()]
    assert "zq2" not in result.stdout.str()


def test_a_share_at_another_threshold_is_not_held_against_the_accepted_one(project):
    """Neither where the setting nor where the test asks for another, and the same one holds from run to run."""
    gate = "def test_set(predicted_risk, accepted):\n    assert predicted_risk({}).share_at_risk <= accepted"
    project.configure(kdmem_baseline_file="accepted.json")
    project.gates(gate.format(""))
    project.run("--kdmem-update-baseline-file").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    result = project.run("--kdmem-risk-threshold=0.5")
    result.assert_outcomes(errors=1)
    assert "another risk threshold than was accepted" in result.stdout.str()
    project.gates(gate.format("threshold=0.5"))
    project.run().assert_outcomes(errors=1)
    project.run("--kdmem-update-baseline-file").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    result = project.run(f"--kdmem-labels-from={project.cast.student}")
    result.assert_outcomes(errors=1)
    assert "another predictor than was accepted" in result.stdout.str()
