"""A run of audits exits with 0 only if all its gates were held, with or without a terminal."""

from __future__ import annotations

import re

import pytest

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from tests.audit_project import ALONE
from tests.plugin.held_gates import FAILS, extend_conftest, printed

# pytest 9.0 cannot explain a comparison without a terminal, and its own error is told as one more.
NOT_PASSED = re.compile(r"Do not ship: (1 of 2|2 of 3) gates did not pass\.")


def test_a_run_that_ended_before_its_collection_names_the_files_of_its_audits(holding_project):
    extend_conftest(holding_project, "def pytest_configure():\n    pytest.exit('done', 0)")
    result = holding_project.run()
    assert result.ret == NOT_DECIDED
    assert "the run ended before 1 file of audits (test_audit.py) could be collected" in printed(result)


@pytest.mark.parametrize("exit_at", ["pytest_sessionstart", "pytest_configure", "pytest_collection"])
def test_a_run_without_audits_may_end_early(pytester, exit_at):
    pytester.makeconftest(f"import pytest\ndef {exit_at}():\n    pytest.exit('done', 0)")
    pytester.makepyfile("def test_other(tmp_path):\n    pass")
    assert pytester.runpytest_inprocess().ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "arguments", [["--collect-only"], ["--fixtures"], ["--markers"], ["--help"], ["--version"]], ids=str
)
def test_what_only_shows_something_exits_as_ever(holding_project, arguments):
    holding_project.pytester.makepyfile(test_more=FAILS)
    assert holding_project.run(*arguments).ret == pytest.ExitCode.OK


def test_an_interrupted_run_says_what_it_exits_with(holding_project):
    holding_project.pytester.makepyfile(test_a_stop="def test_stop(student):\n    raise KeyboardInterrupt")
    result = holding_project.pytester.runpytest_inprocess(*ALONE, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "Exit code 2: this is no release. The same command goes on with" in printed(result)
    assert "Exit code 10" not in printed(result)


def test_without_a_terminal_a_run_exits_as_with_one(holding_project):
    assert holding_project.run("-p", "no:terminal").ret == pytest.ExitCode.OK
    holding_project.pytester.makepyfile(test_more=FAILS)
    result = holding_project.run("-p", "no:terminal", "--kdmem-report=audit.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert NOT_PASSED.search(result.stderr.str())
    assert "Do not ship" in (holding_project.path / "audit.md").read_text()


def test_workers_without_a_terminal_exit_as_with_one(holding_project):
    holding_project.pytester.makepyfile(test_more=FAILS)
    result = holding_project.run_workers(1, "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert NOT_PASSED.search(result.stderr.str())
