"""A release is decided by all of its gates: what was not collected or not asked for is missing from no verdict."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED

GATES = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25


def test_ratio(inheritance):
    inherited = inheritance()
    assert inherited.ratio <= 0.02
"""


@pytest.fixture
def project(audit_project):
    audit_project.gates(GATES)
    return audit_project


@pytest.mark.parametrize("workers", [0, 1], ids=["alone", "xdist"])
def test_gates_that_were_deselected_are_missing_from_no_verdict(project, workers):
    arguments = ("-k", "rate", "--kdmem-report=audit.json", "--kdmem-report=audit.md")
    result = project.run_workers(workers, *arguments) if workers else project.run(*arguments)
    assert result.ret == NOT_DECIDED
    assert project.report("audit.json").not_run == ("test_audit.py::test_ratio",)
    assert "Not decided: 1 of 2 gates run, all pass" in (project.path / "audit.md").read_text()


def test_what_could_not_be_collected_is_missing_from_no_verdict(project):
    project.pytester.makepyfile(test_broken="import nothing_of_this_name")
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 1")
    arguments = ("--continue-on-collection-errors", "--kdmem-report=audit.json", "--kdmem-report=audit.md")
    assert project.run(*arguments).ret == pytest.ExitCode.TESTS_FAILED
    assert project.report("audit.json").not_run == ("test_broken.py",)
    assert "Not decided: 1 of 2 gates run, all pass" in (project.path / "audit.md").read_text()


def test_a_gate_that_was_asked_for_by_name_decides_no_release(project):
    arguments = ("test_audit.py::test_rate", "--kdmem-report=audit.json", "--kdmem-report=audit.md")
    project.run(*arguments).assert_outcomes(passed=1)
    assert project.report("audit.json").narrowed
    assert "Not decided: 1 of 2 gates run, all pass; not all tests" in (project.path / "audit.md").read_text()


def test_gates_that_failed_last_decide_no_release(project):
    """pytest leaves whole files out where they passed last, and tells nobody."""
    kept = [part for name in ("xdist", "hypothesispytest", "anyio") for part in ("-p", f"no:{name}")]
    project.pytester.makepyfile(
        test_audit="def test_ratio(inheritance):\n    assert inheritance().ratio <= 0.02",
        test_more="def test_more(memorization, student):\n    assert memorization(student).rate <= 1",
    )
    project.pytester.runpytest_inprocess(*kept).assert_outcomes(passed=1, failed=1)
    project.gates("def test_ratio(inheritance):\n    assert inheritance().ratio <= 1")
    arguments = ("--lf", "--kdmem-report=audit.json", "--kdmem-report=audit.md")
    project.pytester.runpytest_inprocess(*kept, *arguments).assert_outcomes(passed=1)
    assert project.report("audit.json").narrowed
    assert "Not decided" in (project.path / "audit.md").read_text()


def test_a_file_that_was_skipped_is_missing_from_no_verdict(project):
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 1")
    project.pytester.makepyfile(test_more="import pytest\npytest.importorskip('nothing_of_this_name')")
    project.run("--kdmem-report=audit.json", "--kdmem-report=audit.md").assert_outcomes(passed=1, skipped=1)
    assert project.report("audit.json").not_run == ("test_more.py",)
    assert "Not decided" in (project.path / "audit.md").read_text()


@pytest.mark.parametrize(
    "arguments", [["test_audit.py"], ["--ignore=test_more.py"], ["--ignore-glob=*_more.py"]], ids=str
)
def test_a_file_beside_that_was_left_out_is_missing_from_no_verdict(project, arguments):
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 1")
    project.pytester.makepyfile(
        test_more="def test_more(memorization, student):\n    assert memorization(student).rate <= 0"
    )
    project.run(*arguments, "--kdmem-report=audit.md").assert_outcomes(passed=1)
    assert "Not decided" in (project.path / "audit.md").read_text()


@pytest.mark.parametrize("workers", [0, 1], ids=["alone", "xdist"])
def test_a_whole_audit_is_decided(project, workers):
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 1")
    project.pytester.makepyfile(test_more="def test_other():\n    pass")
    arguments = ("--kdmem-report=audit.md",)
    result = project.run_workers(workers, *arguments) if workers else project.run(*arguments)
    result.assert_outcomes(passed=2)
    assert "May ship: its one gate passes" in (project.path / "audit.md").read_text()
