"""pytest's hooks that audits need, registered once one is collected."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.plugin import completeness as extent
from pytest_kdmem.plugin import sharding as part_runs
from pytest_kdmem.plugin.audit_scope import check_declared, enter, follow, membership_of, mistaken, note
from pytest_kdmem.plugin.collection import DESELECTED, is_audit
from pytest_kdmem.plugin.session import AUDITS
from pytest_kdmem.plugin.settings import remove_reports, settings_of
from pytest_kdmem.plugin.tracebacks import say
from pytest_kdmem.plugin.validation import wrong_update
from pytest_kdmem.specs.roles import ROLES

if TYPE_CHECKING:
    from pytest_kdmem.audit.report import Report
    from pytest_kdmem.audit.result import AuditResult
    from pytest_kdmem.audit.schema import Gate
    from pytest_kdmem.metrics.estimate import Comparison

GATES = pytest.StashKey[dict[str, list["Gate"]]]()  # by audit
PARTS = pytest.StashKey[list["AuditResult"]]()
ORDER = pytest.StashKey[dict[str, str]]()  # nodeids as collected → audit
COMPARISONS = pytest.StashKey["list[Comparison]"]()  # of a test, since its last report
GATHERED_BEFORE = pytest.StashKey["list[Comparison] | None"]()
WHOLE = pytest.StashKey["Report"]()
ACCEPTED = pytest.StashKey[str]()
UNWRITTEN = pytest.StashKey[list[str]]()
REFUSED = pytest.StashKey[str]()
NARROWED = pytest.StashKey[bool]()


def activate(config: pytest.Config) -> None:
    """Register these hooks, once."""
    if GATES not in config.stash:
        config.stash[GATES], config.stash[PARTS], config.stash[ORDER] = {}, [], {}
        config.pluginmanager.register(sys.modules[__name__], "kdmem-hooks")


def take_part(config: pytest.Config, sent: str) -> None:
    """Take over what a worker of pytest-xdist found."""
    from pytest_kdmem.audit.report import Report

    if not sent:  # it held no gate, and yet there is something to tell
        return
    part = json.loads(sent)
    config.stash[PARTS] += Report.from_json(part["report"]).audits
    order: dict[str, str] = part["order"]  # each worker collects all
    config.stash[ORDER] = order


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and any(map(is_audit, session.items)):
        config = session.config
        config.stash[NARROWED] = extent.narrowed(session)
        settings = settings_of(config)
        remove_reports(settings)
        if wrong := part_runs.wrong_part(config) or wrong_update(config) or mistaken(session.items, settings):
            if not hasattr(session.config, "workerinput"):
                raise pytest.UsageError(wrong)
            session.config.stash[REFUSED] = wrong  # what ends a worker of pytest-xdist here is told nowhere


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
    note(fixturedef, request)
    if "request" in fixturedef.argnames:
        follow(request)
    value = yield
    role, spec = fixturedef.argname, sys.modules.get("pytest_kdmem.specs.declared")
    if spec is not None and role in ROLES and isinstance(value, spec.Model | spec.TrainingSet):
        settings = settings_of(request.config)
        if fixturedef.cached_result is not None:
            from pytest_kdmem.plugin.audit_setup import overridden

            value = overridden(value, role, settings)
            fixturedef.cached_result = (value, fixturedef.cached_result[1], None)
    return value


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    enter(item)
    if is_audit(item):
        from pytest_kdmem.metrics.estimate import record_comparisons

        item.stash[COMPARISONS] = []
        item.stash[GATHERED_BEFORE] = record_comparisons(item.stash[COMPARISONS])
        if wrong := item.config.stash.get(REFUSED, ""):
            from pytest_kdmem.errors import SpecError

            raise SpecError(wrong)
        check_declared(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Gather the comparisons of an audit's test no longer than it runs."""
    try:
        return (yield)
    finally:
        if GATHERED_BEFORE in item.stash:
            from pytest_kdmem.metrics.estimate import record_comparisons

            record_comparisons(item.stash[GATHERED_BEFORE])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an audit's outcome into gates, and an error of ours into the one sentence that it is."""
    report = yield
    if not is_audit(item) or part_runs.skip(item, report, call.excinfo.value if call.excinfo else None):
        return report
    if call.excinfo is not None:
        say(report, call.excinfo)
    made: list[Comparison] = item.stash.get(COMPARISONS, [])
    if call.when == "call" or report.failed or (call.when == "teardown" and made):
        from pytest_kdmem.audit.gates import unproven_reason
        from pytest_kdmem.plugin.gates import gates_of
        from pytest_kdmem.plugin.tracebacks import shorten
        from pytest_kdmem.report.junit import gate_properties

        if report.passed and (reason := unproven_reason(made)):
            report.outcome, report.longrepr = "failed", reason
        held = item.config.stash[GATES].setdefault(membership_of(item).audit, [])
        gates = gates_of(item, made, report, call, known=any(gate.nodeid == item.nodeid for gate in held))
        held += gates
        made.clear()
        item.user_properties += [named for gate in gates for named in gate_properties(gate)]  # of JUnit
        shorten(item, report, call.excinfo, gates)
    return report


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    estimate = sys.modules.get("pytest_kdmem.metrics.estimate")
    if estimate is None or not any(isinstance(side, estimate.Estimate) for side in (left, right)):
        return None
    from pytest_kdmem.audit.gates import explain

    return explain(op, left, right)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    every = [*filter(is_audit, session.items), *config.stash.get(DESELECTED, [])]
    config.stash[ORDER] |= {item.nodeid: membership_of(item).audit for item in every}
    report = None if part_runs.part_of(config) else _report(config)
    if hasattr(config, "workerinput") and report is None:
        config.workeroutput["kdmem"] = ""  # type: ignore[attr-defined]
        return
    if report is None:
        return
    if hasattr(config, "workerinput"):
        part = {"report": report.to_json(), "order": config.stash[ORDER]}
        config.workeroutput["kdmem"] = json.dumps(part, allow_nan=False)  # type: ignore[attr-defined]
        return
    from pytest_kdmem.plugin.reporting import completed, write_all

    config.stash[WHOLE] = completed(report, settings_of(config), config.invocation_params.dir)
    config.stash[ACCEPTED], config.stash[UNWRITTEN] = write_all(config.stash[WHOLE], settings_of(config))
    if config.stash[UNWRITTEN]:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if part_runs.part_of(config):
        part_runs.tell(terminalreporter, config, bool(extent.failed(config)))
        return
    report, verbosity = config.stash.get(WHOLE, None), config.option.verbose
    accepted, unwritten = config.stash.get(ACCEPTED, ""), config.stash.get(UNWRITTEN, [])
    if report is None or (verbosity < 0 and not report.failed and not accepted and not unwritten):
        return
    from pytest_kdmem.plugin.reporting import annotations_for
    from pytest_kdmem.report.github import neutralize_commands
    from pytest_kdmem.report.terminal import render

    writer = config.get_terminal_writer()
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    unicode = encoding.startswith("utf")
    terminalreporter.section("memorization audit")
    shown = render(report, width=writer.fullwidth, color=writer.hasmarkup, unicode=unicode, verbosity=verbosity)
    terminalreporter.write(neutralize_commands(shown))
    if accepted:
        terminalreporter.write_line(neutralize_commands(accepted))
    for sentence in unwritten:
        terminalreporter.write_line(neutralize_commands(sentence), red=True)
    terminalreporter.write(annotations_for(report, config))


def _report(config: pytest.Config) -> Report | None:
    """What this run, or its workers, audited; None where nothing was. Audits that were collected are all in it."""
    order, parts = config.stash[ORDER], config.stash[PARTS]
    gates, audits = config.stash[GATES], config.stash.get(AUDITS, {})
    if not (parts or audits or any(gates.values())):
        return None
    from pytest_kdmem.audit.report import assembled

    if not parts:
        from pytest_kdmem.audit.summarize import bare_result

        given = settings_of(config).given
        for name in dict.fromkeys([*order.values(), *gates, *audits]):
            held = gates.get(name, [])
            found = audits[name].result(given, held) if name in audits else bare_result(given, held, name)
            parts = [*parts, found]
    narrowed = config.stash.get(NARROWED, False)
    return assembled(
        parts, order, extent.failed(config), uncollected=extent.uncollected(config, order), narrowed=narrowed
    )
