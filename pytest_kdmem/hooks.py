"""pytest's hooks that audits need, registered once an audit is collected."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem import fixtures
from pytest_kdmem.plugin import is_audit
from pytest_kdmem.settings import remove_reports, settings_of

if TYPE_CHECKING:
    from pytest_kdmem.estimate import Comparison
    from pytest_kdmem.result import AuditResult, Gate

GATES = pytest.StashKey[list["Gate"]]()
PARTS = pytest.StashKey[list["AuditResult"]]()
ORDER = pytest.StashKey[list[str]]()
COMPARISONS = pytest.StashKey["list[Comparison]"]()
DECLARED = pytest.StashKey[dict[str, Any]]()
UNWRITTEN = pytest.StashKey[str]()


def activate(config: pytest.Config) -> None:
    """Register these hooks, once."""
    if GATES not in config.stash:
        config.stash[GATES], config.stash[PARTS], config.stash[ORDER], config.stash[DECLARED] = [], [], [], {}
        config.pluginmanager.register(sys.modules[__name__], "kdmem-hooks")


def take_part(config: pytest.Config, sent: str) -> None:
    """Take over what a worker of pytest-xdist found."""
    from pytest_kdmem.result import AuditResult

    part = json.loads(sent)
    config.stash[PARTS].append(AuditResult.from_json(part["result"]))
    order: list[str] = part["order"]  # each worker collects all
    config.stash[ORDER] = order


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and any(map(is_audit, session.items)):
        remove_reports(settings_of(session.config))


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say which settings hold and where each came from, where something is audited."""
    settings = settings_of(config)
    if config.option.verbose < 0 or not any(map(is_audit, items)):
        return []
    by_origin: dict[str, list[str]] = {}
    for key, value in settings.given.items():
        by_origin.setdefault(settings.origins[key], []).append(f"{key}={value}")
    return [f"kdmem {origin}: {', '.join(shown)}" for origin, shown in by_origin.items()]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """A model or set named for this run goes before the one that an audit declares, or another would be judged."""
    value = yield
    role, spec = fixturedef.argname, sys.modules.get("pytest_kdmem.spec")
    if spec is not None and role in fixtures.ROLES and isinstance(value, spec.Model | spec.TrainingSet):
        settings = settings_of(request.config)
        if fixturedef.cached_result is not None:
            from pytest_kdmem.declarations import overridden

            value = overridden(value, role, settings)
            fixturedef.cached_result = (value, fixturedef.cached_result[1], None)
    return value


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """One session audits one teacher, student, baseline and training set; another's would be taken for them."""
    if not is_audit(item):
        return
    known = item.config.stash[DECLARED]
    manager: Any = item.session._fixturemanager
    for role in fixtures.ROLES:
        found = manager.getfixturedefs(role, item) or [None]
        info: Any = getattr(item, "_fixtureinfo", None)
        declared = (info.name2fixturedefs.get(role) or found)[-1]
        if declared is None:
            continue
        from pytest_kdmem.errors import SpecError

        if declared.scope != "session" or declared.params is not None:
            raise SpecError(
                f"Fixture {role} was expected to be of session scope and without parameters in {item.nodeid}; to audit"
                " several models, give them other names: memorization(model) takes any."
            )
        if known.setdefault(role, declared) is not declared:
            raise SpecError(
                f"One {role.replace('_', ' ')} was expected in a session, and {item.nodeid} declares another than the"
                " audits before it; run them apart: `pytest FOLDER` for each."
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Gather the comparisons that an audit makes."""
    estimate = sys.modules.get("pytest_kdmem.estimate")
    if estimate is None or not is_audit(item):
        return (yield)
    gathered: list[Comparison] = []
    token = estimate.comparisons.set(gathered)
    try:
        return (yield)
    finally:
        estimate.comparisons.reset(token)
        item.stash[COMPARISONS] = gathered


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an audit's outcome into gates, and an error of ours into the one sentence that it is."""
    report = yield
    if call.excinfo is not None and _is_ours(call.excinfo.value) and is_audit(item):
        said: Any = call.excinfo.getrepr(style="value", chain=False)
        said.reprcrash.message = str(call.excinfo.value)
        report.longrepr = said
        report.kdmem_error = True  # type: ignore[attr-defined]
    if is_audit(item) and (call.when == "call" or (call.when == "setup" and report.failed)):
        from pytest_kdmem.gates import gates_of, undecided_reason

        made = item.stash.get(COMPARISONS, [])
        if report.passed and (reason := undecided_reason(made)):
            report.outcome, report.longrepr = "failed", reason
        item.config.stash[GATES] += gates_of(item.name, item.nodeid, made, report, call)
    return report


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    estimate = sys.modules.get("pytest_kdmem.estimate")
    if estimate is None or not any(isinstance(side, estimate.Estimate) for side in (left, right)):
        return None
    from pytest_kdmem.gates import explain

    return explain(op, left, right)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    config.stash[ORDER] += [item.nodeid for item in session.items if is_audit(item)]
    result = _result(config)
    if result is None:
        return
    if hasattr(config, "workerinput"):
        part = {"result": result.to_json(), "order": config.stash[ORDER]}
        config.workeroutput["kdmem"] = json.dumps(part, allow_nan=False)  # type: ignore[attr-defined]
        return
    for path in settings_of(config)["report"]:
        from pytest_kdmem.errors import KdmemError
        from pytest_kdmem.report.files import write_report

        try:
            write_report(result, Path(path))
        except KdmemError as error:
            config.stash[UNWRITTEN] = str(error)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    result = _result(config)
    quiet = config.option.verbose < 0
    if result is None or (quiet and not result.failed):
        return
    from pytest_kdmem.report.terminal import render

    writer = config.get_terminal_writer()
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    unicode = encoding.startswith("utf")
    terminalreporter.section("memorization audit")
    terminalreporter.write(render(result, width=writer.fullwidth, color=writer.hasmarkup, unicode=unicode, quiet=quiet))
    if unwritten := config.stash.get(UNWRITTEN, ""):
        terminalreporter.write_line(unwritten, red=True)


def _result(config: pytest.Config) -> AuditResult | None:
    """What this run, or its workers, audited; None where nothing was."""
    order: list[str] = config.stash[ORDER]
    if parts := config.stash[PARTS]:
        from pytest_kdmem.result import merge, with_order

        return with_order(merge(parts), order)
    gates = config.stash[GATES]
    audit = config.stash.get(fixtures.AUDIT, None)
    if audit is None and not gates:
        return None
    from pytest_kdmem.audit import bare_result

    given = settings_of(config).given
    from pytest_kdmem.result import with_order

    found = audit.result(given, gates) if audit is not None else bare_result(given, gates)
    return with_order(found, order)


def _is_ours(error: BaseException) -> bool:
    errors = sys.modules.get("pytest_kdmem.errors")
    return errors is not None and isinstance(error, errors.KdmemError)
