"""Audits of several folders in one session: each has its own models, rows, gates and section, and none is lost."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.plugin.audit_folders import RATE, SHUFFLE, extend, fixture, read, recited


def test_each_folder_is_an_audit_of_its_own(two):
    result = two.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=2)
    written = json.loads((two.path / "audit.json").read_text())
    assert set(written) == {"schema_version", "audits"}
    report = read(two)
    assert recited(report) == {"audits/a": 5, "audits/b": 7}
    assert [[gate.nodeid for gate in audit.gates] for audit in report.audits] == [
        ["audits/a/test_a.py::test_rate"],
        ["audits/b/test_b.py::test_rate"],
    ]
    result.stdout.fnmatch_lines(["audits/a *", "*student *25.00%*", "audits/b *", "*student *35.00%*", "2 audits, 2*"])


def test_one_folder_alone_writes_one_audit_under_its_name(two):
    result = two.run("audits/b", "--kdmem-report=audit.json")
    written = json.loads((two.path / "audit.json").read_text())
    assert "audits" not in written
    assert written["name"] == "audits/b"
    assert recited(read(two)) == {"audits/b": 7}
    assert "1 audits" not in result.stdout.str()


def test_inheritance_is_of_the_folders_own_roles(audit_project, folder):
    gate = "def test_reduction(inheritance):\n    assert round(inheritance().reduction.value, 3) == {}\n"
    audit_project.declare(student=None, baseline=None)
    folder("a", gate.format(7 / 5), student="student", baseline="baseline")
    folder("b", gate.format(0.714), student="baseline", baseline="student")
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    cells = [audit.inheritance.cells for audit in read(audit_project).audits]
    assert [cell["teacher+student"] for cell in cells] == [1, 1]
    assert [cell["teacher+baseline"] for cell in cells] == [1, 1]
    assert [cell["student"] for cell in cells] == [1, 3]


def test_a_failure_fails_its_own_audit_and_the_session(two, folder):
    folder("audits/b", RATE.format(rate=0.1), student="teacher")
    result = two.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [len(audit.failed) for audit in read(two).audits] == [0, 1]
    result.stdout.fnmatch_lines(["2 audits, 2 gates, not passed: 1 in audits/b"])
    quiet = two.run("-q").stdout.str()
    assert "audits/a ─" not in quiet
    assert "audits/b ─" in quiet


def test_a_broken_declaration_breaks_its_own_audit_alone(two, folder):
    folder("audits/a", RATE.format(rate=1), student="no/such/folder")
    result = two.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, errors=1)
    assert [[gate.outcome for gate in audit.gates] for audit in read(two).audits] == [["error"], ["pass"]]


def test_tests_of_several_audits_in_turn_keep_apart(two, folder):
    extend(two, SHUFFLE)
    tests = "".join(
        f"def test_{at}(memorization, student):\n    assert memorization(student).rate.k == {{0}}\n" for at in range(3)
    )
    folder("audits/a", tests.format(5), student="student")
    folder("audits/b", tests.format(7), student="teacher")
    result = two.run("-v", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["audits/a*test_0 *", "audits/b*test_0 *", "audits/a*test_1 *"])
    assert recited(read(two)) == {"audits/a": 5, "audits/b": 7}
    assert [len(audit.gates) for audit in read(two).audits] == [3, 3]


def test_an_audit_of_which_nothing_was_held_stands_in_the_report(two, folder):
    folder("audits/a", RATE.format(rate=0), student="student")
    result = two.run("-x", "--kdmem-report=audit.json")
    assert [audit.not_run for audit in read(two).audits] == [(), ("audits/b/test_b.py::test_rate",)]
    result.stdout.fnmatch_lines(["*audits/b/test_b.py::test_rate: not run*"])


def test_two_workers_give_the_report_of_one_process(two, folder):
    tests = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25

def test_baseline(memorization, baseline):
    assert memorization(baseline).rate <= 1

def test_teacher(memorization, teacher):
    assert memorization(teacher).rate <= 1
"""
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    apart = two.run_workers(2, "--kdmem-report=apart.json")
    alone = two.run("--kdmem-report=alone.json")
    for result in (apart, alone):
        result.assert_outcomes(passed=5, failed=1)
    reports = [json.loads((two.path / name).read_text()) for name in ("apart.json", "alone.json")]
    for report in reports:
        for audit in report["audits"]:
            del audit["created"]
            assert audit["settings"].pop("report")
    assert [audit["name"] for audit in reports[0]["audits"]] == ["audits/a", "audits/b"]
    assert reports[0] == reports[1]


def test_a_student_named_for_several_audits_is_refused_by_workers_too(two):
    result = two.run_workers(1, f"--kdmem-student={two.cast.baseline}")
    result.assert_outcomes(errors=2)
    assert "several audits declare their own" in result.stdout.str() + result.stderr.str()
    assert len(two.shards) == 3  # of the store that the project began with


def test_the_distiller_learns_from_the_folders_own_teacher(two, folder):
    init = f"init=Model({str(two.cast.baseline)!r}), epochs=1"
    named = fixture("student", f"return distiller({init}, teacher=teacher)", "distiller, teacher")
    asked = fixture("student", f"return distiller({init})", "distiller")
    gate = "def test_rate(memorization, student, teacher):\n    assert memorization(student).rate <= 1\n"
    folder("audits/a", gate, named, teacher="teacher")
    folder("audits/b", gate, asked, teacher="student")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    teachers = [audit.models["student"].run["teacher"]["digest"] for audit in read(two).audits]
    assert teachers == [open_checkpoint(Model(model)).digest for model in (two.cast.teacher, two.cast.student)]
