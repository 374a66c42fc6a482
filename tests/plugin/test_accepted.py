"""Accepted figures in a committed file: a gate of their own, changed only when asked, refused where they do not fit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.audit_project import rows_of_cells

GATES = """
    def test_rate(memorization, student, accepted):
        assert memorization(student).rate <= accepted

    def test_reduction(inheritance, accepted):
        assert inheritance().reduction >= accepted

    def test_ratio(inheritance, accepted):
        assert inheritance().ratio <= accepted
"""
RATE = "def test_rate(memorization, student, accepted):\n    assert memorization(student).rate <= accepted"
FILE = {"kdmem_baseline_file": "accepted.json"}
UPDATE = "--kdmem-update-baseline-file"


@pytest.fixture
def project(audit_project: Any) -> Any:
    """An audit that compares with what was accepted of it."""
    audit_project.configure(**FILE)
    audit_project.gates(GATES)
    return audit_project


def accepted(project: Any) -> Any:
    return json.loads((project.path / "accepted.json").read_text())


def test_without_a_file_nothing_passes(project):
    result = project.run()
    result.assert_outcomes(errors=3)
    assert "accept the figures of this run with --kdmem-update-baseline-file" in result.stdout.str()
    assert not (project.path / "accepted.json").exists()


def test_without_a_name_of_the_file_it_says_how_to_name_one(audit_project):
    audit_project.gates(RATE)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set kdmem_baseline_file in the configuration*"])


def test_what_was_accepted_passes_until_it_grows_worse(project):
    project.run(UPDATE).assert_outcomes(passed=3)
    before = (project.path / "accepted.json").read_bytes()
    project.run().assert_outcomes(passed=3)
    worse = project.run(f"--kdmem-student={project.cast.baseline}", "--kdmem-report=audit.json")
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    gates = {gate.name: gate for gate in project.report("audit.json").gates}
    assert gates["test_rate"].outcome == "inconclusive"  # 7 of 20 where 5 were, on 4 new and 2 gone
    assert "4 newly, 2 no longer; paired p = 0.34, which could be chance" in gates["test_rate"].reason
    assert "--kdmem-update-baseline-file" in gates["test_rate"].next_step
    assert (project.path / "accepted.json").read_bytes() == before


def test_the_file_holds_figures_ids_and_digests_and_no_text(project):
    project.declare(data='TrainingSet("data.txt")')
    (project.path / "data.txt").write_text("\n".join(project.cast.texts))
    project.run(UPDATE).assert_outcomes(passed=3)
    text = (project.path / "accepted.json").read_text()
    assert "zq" not in text
    content = json.loads(text)
    assert (content["kind"], content["schema_version"]) == ("kdmem accepted figures", 1)
    [figures] = content["audits"].values()
    [rate] = [entry for entry in figures if (entry["metric"], entry["subject"]) == ("memorization rate", "student")]
    assert set(rate["examples"]) == project.cast.recited_by("student")
    assert set(rate["over"]) == {"training set", "lengths"}


def test_the_same_figures_give_the_same_bytes(project):
    project.run(UPDATE)
    first = (project.path / "accepted.json").read_bytes()
    project.run(UPDATE)
    assert (project.path / "accepted.json").read_bytes() == first


def test_another_training_set_is_refused(project):
    project.run(UPDATE)
    np.save(project.path / "data.npy", project.cast.rows[:-1])
    result = project.run()
    result.assert_outcomes(errors=3)
    assert "another training set than was accepted" in result.stdout.str()


def test_other_lengths_are_refused(project):
    project.run(UPDATE)
    result = project.run("--kdmem-suffix-tokens=6")
    result.assert_outcomes(errors=3)
    assert "than was accepted" in result.stdout.str()


def test_another_baseline_is_refused_where_it_is_part_of_the_figure(project):
    project.run(UPDATE)
    result = project.run(f"--kdmem-baseline={project.cast.teacher}", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, errors=2)
    reasons = [gate.reason for gate in project.report("audit.json").gates if gate.outcome == "error"]
    assert all("another baseline than was accepted" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("memorization(student).rate >= accepted", "write <= accepted"),
        ("memorization(student).rate <= accepted - 0.1", "write <= accepted"),
        ("inheritance().reduction <= accepted", "write >= accepted"),
        ("inheritance().share <= accepted", "inherited share of student is none"),
        ("accepted", "neither true nor false"),
        ("not memorization(student).rate <= accepted", "assert not"),
    ],
)
def test_a_gate_that_could_pass_for_nothing_is_none(project, gate, message):
    project.gates(f"def test_gate(memorization, inheritance, student, accepted):\n    inheritance()\n    assert {gate}")
    project.run(UPDATE)
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in result.stdout.str()


def test_what_is_allowed_beyond_is_allowed(project):
    project.run(UPDATE)
    project.gates("""
        def test_rate(memorization, student, accepted):
            assert memorization(student).rate <= accepted + 0.1

        def test_too_much(memorization, student, accepted):
            assert memorization(student).rate <= accepted + 0.0999

        def test_reduction(inheritance, accepted):
            assert inheritance().reduction >= accepted - 0.4
    """)
    result = project.run(f"--kdmem-student={project.cast.baseline}")
    result.assert_outcomes(passed=2, failed=1)


def test_only_what_was_measured_is_accepted_anew(project):
    project.run(UPDATE)
    before = {(entry["metric"], entry["subject"]): entry for entry in accepted(project)["audits"][""]}
    project.gates(RATE)
    project.run(UPDATE, f"--kdmem-student={project.cast.baseline}").assert_outcomes(passed=1)
    after = {(entry["metric"], entry["subject"]): entry for entry in accepted(project)["audits"][""]}
    student = ("memorization rate", "student")
    assert (before[student]["estimate"]["k"], after[student]["estimate"]["k"]) == (5, 7)
    del before[student], after[student]
    assert before == after


def test_drift_of_every_figure_stands_in_the_report(project):
    project.run(UPDATE)
    project.gates(
        "def test_other(memorization, student, teacher):\n    assert memorization(student).rate <= 1\n"
        "    assert memorization(teacher).rate <= 1"
    )
    result = project.run(f"--kdmem-student={project.cast.baseline}", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=1)
    drift = {(entry.metric, entry.subject): entry for entry in project.report("audit.json").metric_changes}
    assert drift["memorization rate", "student"].outcome == "undecided"
    assert (drift["memorization rate", "student"].newly, drift["memorization rate", "student"].no_longer) == (4, 2)
    assert drift["memorization rate", "teacher"].outcome == "same"
    assert drift["reduction", "student"].outcome == "unused"
    result.stdout.fnmatch_lines(["undecided: memorization rate of student 25.00% → 35.00%*", "unused: reduction*"])


def test_what_is_measured_and_not_accepted_is_told_as_new(project):
    project.gates(RATE)
    project.run(UPDATE)
    project.gates(GATES)
    result = project.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, errors=2)
    assert "new" in {entry.outcome for entry in project.report("audit.json").metric_changes}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kind": "kdmem accepted figures", "schema_version": 2, "audits": {}}',
                '{"kind": "kdmem accepted figures", "schema_version": 1, "audits": {"": [{"metric": 3}]}}'],
)  # fmt: skip
def test_a_file_that_is_none_passes_nothing_and_stays(project, content):
    (project.path / "accepted.json").write_text(content)
    result = project.run()
    result.assert_outcomes(errors=3)
    assert "ccepted figures" in result.stdout.str()
    assert (project.path / "accepted.json").read_text() == content


def test_updating_needs_a_file_to_update(audit_project):
    audit_project.gates(RATE)
    result = audit_project.run(UPDATE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "and none is named; set --kdmem-baseline-file" in result.stderr.str()


def test_workers_of_xdist_read_it_and_the_controller_alone_writes(project):
    project.run_workers(1, UPDATE).assert_outcomes(passed=3)
    figures = accepted(project)["audits"][""]
    assert {entry["subject"] for entry in figures} == {"student", "teacher", "baseline"}
    project.run_workers(1).assert_outcomes(passed=3)


def test_a_gate_over_another_set_is_not_judged_by_the_audit_s_own(project):
    """Of the other set the student recites all, of its own a quarter; by name the rates could be one."""
    project.run(UPDATE)
    np.save(project.path / "leaky.npy", rows_of_cells(all=6))
    project.gates("""
        from pytest_kdmem import TrainingSet

        def test_own(memorization, student, accepted):
            assert memorization(student).rate <= accepted

        def test_other(memorization, student, accepted):
            assert memorization(student, TrainingSet("leaky.npy")).rate <= accepted
    """)
    result = project.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*accepted memorization rate of student on leaky.npy was expected*"])
    project.run(UPDATE).assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)
    np.save(project.path / "leaky.npy", rows_of_cells(all=5, none=1))  # better, and of another set
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "another training set than was accepted" in result.stdout.str()


def test_a_ratio_of_other_models_is_not_judged_by_that_of_the_audit_s_own(project):
    project.run(UPDATE)
    project.gates("""
        def test_own(inheritance, accepted):
            assert inheritance().reduction >= accepted

        def test_other(inheritance, baseline, accepted):
            assert inheritance(teacher=baseline).reduction >= accepted - 5

        def test_another(inheritance, baseline, accepted):
            assert inheritance(teacher=baseline).ratio <= accepted
    """)
    project.run("--kdmem-report=audit.json").assert_outcomes(passed=2, errors=1)
    audit = project.report("audit.json")
    [broken] = audit.failed
    assert "another was compared" in broken.reason
    assert audit.inheritance.ratio.k == 1  # of the audit's own, whatever came after


def test_loss_over_the_training_set_is_not_judged_by_the_held_out_one(project):
    np.save(project.path / "control.npy", rows_of_cells(none=9)[::-1] + 1)
    arguments = ["--kdmem-control-set=control.npy"]
    project.gates("""
        def test_held_out(memorization, student, control_set, accepted):
            assert memorization(student, control_set).loss <= accepted
    """)
    project.run(UPDATE, *arguments).assert_outcomes(passed=1)
    project.run(*arguments).assert_outcomes(passed=1)
    project.gates("""
        def test_seen(memorization, student, control_set, accepted):
            memorization(student, control_set)
            assert memorization(student, metrics="all").loss <= accepted
    """)
    result = project.run(*arguments)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*and another was compared*"])


@pytest.mark.parametrize("allowed", ["5", "-5 + 10", 'float("nan")', 'float("inf")'])
def test_what_is_allowed_is_a_share_and_not_a_percentage(project, allowed):
    project.run(UPDATE)
    project.gates(f"{RATE} + ({allowed})")
    result = project.run()
    result.assert_outcomes(errors=1)
    assert "allowed beyond" in result.stdout.str()


@pytest.mark.parametrize("place", ["configuration", "environment", "addopts"])
def test_what_every_run_would_accept_is_accepted_by_none(project, monkeypatch, place):
    project.run(UPDATE)
    before = (project.path / "accepted.json").read_bytes()
    if place == "environment":
        monkeypatch.setenv("KDMEM_UPDATE_BASELINE_FILE", "1")
    else:
        persistent = {"kdmem_update_baseline_file": True} if place == "configuration" else {"addopts": [UPDATE]}
        project.configure(**FILE, **persistent)
    result = project.run(f"--kdmem-student={project.cast.baseline}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"{UPDATE} was expected on the command line" in result.stderr.str()
    assert (project.path / "accepted.json").read_bytes() == before


def test_a_report_is_not_written_over_what_was_accepted(project):
    project.run(UPDATE)
    before = (project.path / "accepted.json").read_bytes()
    result = project.run("--kdmem-report=./accepted.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "name another file" in result.stderr.str()
    assert (project.path / "accepted.json").read_bytes() == before


def test_a_student_that_is_the_teacher_is_held_against_what_the_student_was(project):
    project.gates("""
        def test_rate(memorization, student, teacher, accepted):
            memorization(teacher)
            assert memorization(student).rate <= accepted
    """)
    project.run(UPDATE).assert_outcomes(passed=1)
    result = project.run(f"--kdmem-student={project.cast.teacher}", "--kdmem-report=audit.json")
    result.assert_outcomes(failed=1)
    [gate] = project.report("audit.json").failed
    assert "memorization rate of student 35.00% (7 of 20) worse than accepted (25.00%)" in gate.reason


def test_models_without_a_role_are_told_apart_whatever_came_first(project):
    for name, model in (("x", "baseline"), ("y", "student")):
        (project.path / name).mkdir()
        (project.path / name / "ckpt").symlink_to(getattr(project.cast, model))
    project.gates("""
        from pytest_kdmem import Model

        def test_x(memorization, accepted):
            assert memorization(Model("x/ckpt")).rate <= accepted

        def test_y(memorization, accepted):
            assert memorization(Model("y/ckpt")).rate <= accepted
    """)
    project.run(UPDATE).assert_outcomes(passed=2)
    assert {entry["subject"] for entry in accepted(project)["audits"][""]} == {"x/ckpt", "y/ckpt"}
    (project.path / "y/ckpt").unlink()
    (project.path / "y/ckpt").symlink_to(project.cast.baseline)
    project.run("-k", "test_y").assert_outcomes(failed=1)


def test_two_sets_of_one_source_are_two(project):
    np.save(project.path / "more.npy", rows_of_cells(all=4, none=4))
    project.gates("""
        from pytest_kdmem import TrainingSet

        def test_all(memorization, student, accepted):
            assert memorization(student, TrainingSet("more.npy")).rate <= accepted

        def test_some(memorization, student, accepted):
            assert memorization(student, TrainingSet("more.npy", sample=3, seed=5)).rate <= accepted
    """)
    project.run(UPDATE).assert_outcomes(passed=2)
    project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    names = {"student on more.npy", "student on more.npy (sample 3, seed 5)"}
    assert set(project.report("audit.json").memorization) == names == set(project.report("audit.json").other_sets)


@pytest.mark.parametrize("statement", ["rate <= accepted", "assert not rate <= accepted", "rate <= accepted + 0.01"])
def test_a_comparison_with_what_was_accepted_passes_by_holding_alone(project, statement):
    project.gates(
        f"def test_rate(memorization, student, accepted):\n    rate = memorization(student).rate\n    {statement}"
    )
    project.run(UPDATE)
    result = project.run(f"--kdmem-student={project.cast.baseline}")
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_what_was_accepted_is_said(project, quiet):
    result = project.run(UPDATE, *quiet)
    result.stdout.fnmatch_lines(["accepted: 5 figures in *accepted.json; commit it"])
    result = project.run(UPDATE, *quiet, f"--kdmem-student={project.cast.baseline}")
    result.stdout.fnmatch_lines(["accepted: 5 figures in *.json, * of them worse than before, or not*; commit it"])
