"""pytest's hooks that audits need, registered once one is collected; each delegates to the AuditSession of the run."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.session import session_of
from pytest_kdmem.specs.roles import ROLES

PLUGIN_NAME = "kdmem-hooks"


def activate(config: pytest.Config) -> None:
    """Register these hooks, once."""
    if not config.pluginmanager.has_plugin(PLUGIN_NAME):
        config.pluginmanager.register(sys.modules[__name__], PLUGIN_NAME)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Show which settings hold and where each came from, if anything is audited."""
    if config.option.verbose < 0 or not any(map(is_audit, items)):
        return []
    from pytest_kdmem.plugin.screen import lines_on_screen

    return [part for line in session_of(config).settings.header() for part in lines_on_screen(line, config)]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Put a model or set named for this run in the place of the one that an audit declares."""
    session, role = session_of(request.config), fixturedef.argname
    session.note_fixture_setup(fixturedef, request)
    value = yield
    declared = sys.modules.get("pytest_kdmem.specs.declared")
    if declared is None or role not in ROLES or not isinstance(value, declared.Model | declared.TrainingSet):
        return value
    from pytest_kdmem.plugin.role_settings import overridden, overridden_student
    from pytest_kdmem.plugin.student import Student

    if isinstance(getattr(request, "param", None), Student):
        value = overridden_student(value, session.settings)
    else:
        value = overridden(value, role, session.settings)
    if fixturedef.cached_result is not None:
        fixturedef.cached_result = (value, *fixturedef.cached_result[1:])
    return value


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    session_of(item.config).start_test(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    try:
        return (yield)
    finally:
        session_of(item.config).end_test(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if is_audit(item):
        session_of(item.config).conclude(item, report, call)
    return report


def pytest_enter_pdb(config: pytest.Config) -> None:
    session_of(config).progress.finish()  # a line that is redrawn would break the prompt


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    compared_kinds = {"pytest_kdmem.metrics.estimate": "Estimate", "pytest_kdmem.metrics.subsets": "Subsets"}
    kinds = tuple(getattr(sys.modules[name], kind) for name, kind in compared_kinds.items() if name in sys.modules)
    if not any(isinstance(side, kinds) for side in (left, right)):
        return None
    from pytest_kdmem.auditing.gates import explain

    return explain(op, left, right)


@pytest.hookimpl(trylast=True)  # what fixtures compare while they are torn down at the very end belongs to it
def pytest_sessionfinish(session: pytest.Session) -> None:
    session_of(session.config).finish(session)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    session_of(config).print_summary(terminalreporter, exitstatus)
