"""Runs the tests with the oldest and the newest versions of what the package depends on: `nox`."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
PYTHON = "3.11"
TEST_TOOLS = (
    *("hypothesis", "jsonschema", "markdown-it-py", "moto[server]", "peft", "pytest-xdist", "rapidfuzz"),
    *("detect-secrets", "phonenumbers", "python-stdnum"),
)
# Browsers, Ray, vLLM and the published schemas have versions of their own and are tested by `.ci/run`.
TESTS = ("tests", "--ignore=tests/scoring/executors", "--ignore=tests/report/test_html_in_browser.py")


@nox.session(python=PYTHON)
def oldest(session: nox.Session) -> None:
    """The oldest version of each dependency that pyproject.toml allows."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    pins = [requirement.replace(">=", "==") for requirement in project["dependencies"]]
    session.install(*pins, *TEST_TOOLS)
    session.install("--no-deps", "-e", ".")
    run_tests(session)


@nox.session(python=PYTHON)
def newest(session: nox.Session) -> None:
    """The newest version of each dependency."""
    session.install("--upgrade", "-e", ".", *TEST_TOOLS)
    run_tests(session)


@nox.session(python=PYTHON)
def advisories(session: nox.Session) -> None:
    """Known vulnerabilities of the newest version of each dependency."""
    session.install("--upgrade", "-e", ".", "pip-audit")
    session.run("pip-audit", "--skip-editable")


@nox.session(python=PYTHON, default=False)
def mutants(session: nox.Session) -> None:
    """Changes to what decides a gate that its tests do not notice; name modules or functions to try only these.

    `nox -s mutants -- 'pytest_kdmem.metrics.bounds.*'` takes some minutes a module; `mutmut show NAME` prints a change.
    """
    session.install("-c", "constraints.txt", "-e", ".", "mutmut==3.8.1", "hypothesis")
    copies = Path("mutants").absolute()
    copies.mkdir(exist_ok=True)
    session.run("mutmut", "run", *session.posargs, env={"PYTHONPATH": str(copies)})
    session.run("mutmut", "results")


def run_tests(session: nox.Session) -> None:
    session.run("pytest", "-n", "2", *(session.posargs or TESTS))
