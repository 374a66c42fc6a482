"""No audit is held in a run that takes its asserts away, or that loses its gates with a process."""

from __future__ import annotations

import sys

import pytest

from tests.plugin.held_gates import extend_conftest, printed


@pytest.mark.parametrize("how", ["-O", "PYTHONOPTIMIZE", "--assert=plain"])
def test_an_audit_does_not_run_without_its_asserts(holding_project, monkeypatch, how):
    if how == "--assert=plain":
        result = holding_project.run(how)
    else:
        command = [sys.executable, *([how] if how == "-O" else []), "-m", "pytest", "-p", "no:cacheprovider"]
        if how != "-O":
            monkeypatch.setenv(how, "1")
        result = holding_project.pytester.run(*command)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "An audit was expected to run with" in printed(result)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_audit_does_not_run_in_processes_that_end_with_its_gates(holding_project, workers):
    """The option is that of pytest-forked."""
    extend_conftest(
        holding_project, "def pytest_addoption(parser):\n    parser.addoption('--forked', action='store_true')"
    )
    result = holding_project.run_workers(workers, "--forked") if workers else holding_project.run("--forked")
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if workers else pytest.ExitCode.USAGE_ERROR)
    assert "--forked or a mark of that name gives each test a process that ends with its gates" in printed(result)
