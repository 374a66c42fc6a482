"""The gate of a training set before any student is distilled: `predicted_risk`, its options, and its report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_kdmem.audit.report import read_report

GATE = """
def test_set(predicted_risk, thresholds):
    assert predicted_risk().share_at_risk <= thresholds.max_predicted_risk
"""
# Rows by cell: 25 of 100 are recited by teacher and baseline, 15 of them by the student, too.
ROWS = {"teacher+baseline": 10, "all": 15, "none": 37, "teacher": 20, "student": 18}


@pytest.fixture
def thorough_project(audit_project):
    """An audit of a training set, without a student."""
    audit_project.declare(student=None)
    np.save(audit_project.path / "data.npy", audit_project.rows(**ROWS))
    return audit_project


@pytest.fixture
def project(thorough_project, monkeypatch):
    """The same audit, whose predictor has 20 trials and refits in place of 100."""
    from pytest_kdmem.risk import fitting

    monkeypatch.setattr(fitting, "TRIALS", 20)
    monkeypatch.setattr(fitting, "REFITS", 20)
    return thorough_project


@pytest.fixture
def saved(thorough_project):
    """A predictor fitted to the project's own rows."""
    from pytest_kdmem.cli import main

    cast, path = thorough_project.cast, thorough_project.path / "predictor.json"
    lengths = ["--prefix-tokens=12", "--suffix-tokens=8", "--no-cache"]
    models = [f"--teacher={cast.teacher}", f"--baseline={cast.baseline}"]
    with pytest.raises(SystemExit) as ended:
        main(["risk", str(thorough_project.path / "data.npy"), *models, *lengths, f"--save={path}"])
    assert not ended.value.code
    return path


def test_a_set_that_would_be_recited_does_not_pass_and_says_what_to_do(thorough_project):
    thorough_project.gates(GATE)
    result = thorough_project.run("-v", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [line] = thorough_project.failures(result)
    assert "share at risk of data 28.00%" in line
    assert line.endswith("(28 of 100) > 0.50%")
    result.stdout.fnmatch_lines(["*Write a training set without what is at risk: kdmem prefilter TRAINING_SET*"])
    result.stdout.fnmatch_lines(["predicted risk: 28.00%* memorized expected*", "predictor *: from 25 of 100 that*"])
    assert thorough_project.report("audit.json").risk is not None


def test_it_passes_at_its_figure_and_needs_no_student(project):
    project.gates(GATE)
    assert project.run("--kdmem-max-predicted-risk=0.5", "--kdmem-report=audit.json").ret == pytest.ExitCode.OK
    audit = project.report("audit.json")
    assert set(audit.models) == {"teacher", "baseline"}
    assert set(audit.risk.examples) >= set(range(25))
    assert audit.risk.labels == "teacher and baseline"
    assert (audit.risk.positives, audit.risk.fitted_to) == (25, 100)
    assert audit.risk.expected_memorized.low <= 25 <= audit.risk.expected_memorized.high
    assert audit.training_set.distinct == 100


def test_its_report_comes_back_and_older_ones_have_none(project):
    project.gates(GATE)
    project.run("--kdmem-report=audit.json")
    content = json.loads((project.path / "audit.json").read_text())
    [audit] = read_report(project.path / "audit.json").audits
    assert audit.to_json() == content
    del content["risk"]
    (project.path / "old.json").write_text(json.dumps(content))
    assert project.report("old.json").risk is None


def test_verdicts_of_its_pass_serve_the_other_gates(project, monkeypatch):
    opened = []
    from pytest_kdmem.scoring.job import Job

    real = Job.open
    monkeypatch.setattr(Job, "open", lambda self: (opened.append(self.model.name), real(self))[1])
    project.gates(
        GATE
        + """
def test_teacher(memorization, teacher, baseline):
    assert memorization(teacher).rate <= 1
    assert memorization(baseline).rate <= 1
    assert memorization(baseline, metrics="all").loss <= 100
"""
    )
    project.run("--kdmem-max-predicted-risk=0.5").assert_outcomes(passed=2)
    assert opened == []


def test_a_fitted_predictor_is_kept_and_fitted_anew_if_it_is_damaged(project):
    project.gates(GATE)
    project.run("--kdmem-report=first.json")
    [kept] = (project.path / ".kdmem/predictors").glob("*.json")
    written = kept.stat().st_mtime_ns, kept.stat().st_ino
    project.run("--kdmem-report=second.json")
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == written
    kept.write_text(kept.read_text().replace("0.1", "0.2"))
    project.run("--kdmem-report=third.json")
    first, second, third = (project.report(f"{name}.json").to_json()["risk"] for name in ("first", "second", "third"))
    assert first == second == third


def test_labels_may_come_from_an_earlier_student(project):
    project.gates(GATE)
    student = project.cast.student
    project.run(f"--kdmem-labels-from={student}", "--kdmem-max-predicted-risk=1", "--kdmem-report=audit.json")
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


def test_a_predictor_fitted_before_gates_a_set_that_has_nothing_to_learn_from(thorough_project, saved):
    np.save(thorough_project.path / "data.npy", thorough_project.rows(none=37, student=18))
    thorough_project.gates(GATE)
    refused = thorough_project.run()
    [line] = thorough_project.failures(refused)
    assert "At least 10 memorized examples are needed to learn what is at risk; found 0 of 55, by teacher" in line
    result = thorough_project.run(f"--kdmem-predictor={saved}", "--kdmem-max-predicted-risk=0.06")
    assert result.ret == pytest.ExitCode.OK  # at the figure of a set that is none the riskier for it: 3 of 55


def test_a_predictor_of_other_lengths_or_a_changed_one_gates_nothing(project, saved):
    project.gates(GATE)
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
    project.gates(GATE)
    result = project.run("--kdmem-risk-threshold=0.999999")
    [line] = project.failures(result)
    assert "A risk threshold that finds at least 50.00% of what is memorized was expected" in line


@pytest.mark.parametrize("value", ["0", "1", "two"])
def test_a_threshold_that_is_no_probability_is_refused_at_once(project, value):
    project.gates(GATE)
    assert project.run(f"--kdmem-risk-threshold={value}").ret == pytest.ExitCode.USAGE_ERROR


def test_models_of_two_tokenizers_are_refused_before_anything_is_scored(project, make_model):
    project.declare(student=None, baseline=make_model(seed=4))
    project.gates(GATE)
    shards = project.shards
    result = project.run()
    assert any("The same tokenizer was expected" in line for line in project.failures(result))
    assert project.shards == shards


def test_parts_score_the_pair_and_hold_no_gate(project):
    project.gates(GATE)
    for part in ("1/2", "2/2"):
        project.run(f"--kdmem-shard={part}").assert_outcomes(skipped=1)
    assert len(project.shards) == 3  # teacher, baseline, and how far they are apart
    project.run("--kdmem-max-predicted-risk=0.5").assert_outcomes(passed=1)


def test_a_sample_has_wider_bounds(project):
    project.gates(GATE)
    project.run("--kdmem-sample=80", "--kdmem-report=audit.json")
    share = project.report("audit.json").risk.share_at_risk
    assert not share.exhaustive
    assert share.high > share.value + 0.05
    assert project.report("audit.json").risk.exact_duplicates is None


def test_the_one_of_labels_and_predictor_that_is_set_for_the_run_goes_before_the_other(project, saved):
    project.gates(GATE)
    project.configure(kdmem_predictor=str(saved))
    assert "found both" not in project.run("--kdmem-labels-from=both", "--kdmem-max-predicted-risk=1").stdout.str()
    project.configure(kdmem_labels_from="nowhere/at-all")
    project.run(f"--kdmem-predictor={saved}", "--kdmem-max-predicted-risk=1").assert_outcomes(passed=1)


def test_what_is_wrong_with_a_predictor_is_told_before_anything_is_scored(project):
    project.gates(GATE)
    (project.path / "predictor.json").write_text("{}")
    result = project.run("--kdmem-predictor=predictor.json")
    assert any("A predictor was expected in" in line for line in project.failures(result))
    assert not project.shards


def test_no_text_is_in_report_or_cache(audit_project):
    texts = [" ".join(f"zq{token:03d}x" for token in row) for row in audit_project.rows(**ROWS).tolist()]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (audit_project.path / "data.jsonl").write_text(lines)
    audit_project.declare(student=None, data='TrainingSet("data.jsonl")')
    audit_project.gates(GATE)
    result = audit_project.run("--kdmem-report=audit.json")
    kept = [path for path in audit_project.path.rglob("*") if path.is_file() and path.name != "data.jsonl"]
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
