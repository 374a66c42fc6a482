"""What pytest loads in every run: options, fixtures, and a check whether anything is audited. All else waits for that.

PYTEST_DONT_REWRITE: there is no assert in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

from pytest_kdmem.plugin import fixtures, further_fixtures
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.options import add_options, unknown_keys
from pytest_kdmem.plugin.watch import start_watch, watch_of
from pytest_kdmem.specs.options import OPTIONS

HAS_AUDITS = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Name the option that is meant by a misspelt one."""
    if any(str(argument).startswith("--kdmem-") for argument in args):
        from pytest_kdmem.plugin.validation import check_flags

        check_flags(args)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(fixtures, "kdmem-fixtures")
    config.pluginmanager.register(further_fixtures, "kdmem-further-fixtures")
    start_watch(config)  # for programs that do not go by pytest's own main function
    if (recorder := sys.modules.get("pytest_kdmem.metrics.recorder")) is not None:
        recorder.forget_earlier_comparisons()
    if _is_anything_set(config):
        from pytest_kdmem.plugin.session import session_of
        from pytest_kdmem.plugin.settings import remove_reports
        from pytest_kdmem.plugin.validation import check_configuration, check_names, check_settings

        check_configuration(config)
        check_names(config)
        settings = session_of(config).settings
        if (
            settings.overrides("report")
            and not settings["dry_run"]
            and not config.option.collectonly
            and not config.option.help
        ):
            remove_reports(settings)
        check_settings(settings)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Exit with 0 only if every gate of the audits was held, whatever became of the session in the meantime."""
    watch = start_watch(config)
    status = yield
    if status == pytest.ExitCode.OK and (HAS_AUDITS in config.stash or not watch.has_collected):
        from pytest_kdmem.plugin.exit_status import final_status

        return final_status(config, status)
    return status


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let an audit's test run once for each of several students."""
    if is_audit(metafunc.definition):
        from pytest_kdmem.plugin.students import parametrize

        parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin a session of audits if one was collected, even if a hook dropped it since."""
    config = session.config
    dropped = [item for item in watch_of(config).dropped(session.items) if is_audit(item)]
    if not any(map(is_audit, session.items)) and not dropped:
        return
    from pytest_kdmem.plugin.hooks import activate
    from pytest_kdmem.plugin.session import session_of

    audits = session_of(config)
    audits.dropped = [item for item in dropped if item not in audits.deselected]
    if audits.dropped or any(map(is_audit, session.items)):
        activate(config)
        config.stash[HAS_AUDITS] = True
        if not config.option.collectonly:
            audits.start(session)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Keep audits that were left out: a verdict says which of its gates were not held."""
    if audits := list(filter(is_audit, items)):
        from pytest_kdmem.plugin.session import session_of

        session_of(audits[0].config).deselected += audits


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker of pytest-xdist share what it does; without a cache, it also shares the controller's folder.

    Otherwise each worker would score every model.
    """
    from pytest_kdmem.plugin.session import session_of
    from pytest_kdmem.plugin.workers_line import watch_worker

    watch_worker(node)
    session = session_of(node.config)
    if session.settings["no_cache"]:
        node.workerinput["kdmem_scratch"] = str(session.cache_dir)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if (worker_output := getattr(node, "workeroutput", {}).get("kdmem")) is not None:
        from pytest_kdmem.plugin.hooks import activate
        from pytest_kdmem.plugin.session import session_of

        activate(node.config)
        node.config.stash[HAS_AUDITS] = True
        session_of(node.config).take_worker_output(worker_output)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count an audit that could not be held as an error, whatever phase it broke in."""
    if getattr(report, "kdmem_error", False) and report.failed:
        return "error", "E", "ERROR"
    return None


def _is_anything_set(config: pytest.Config) -> bool:
    """Whether any setting may have been given; whether its value can be used is checked where settings are read."""
    keys = [f"kdmem_{option.key}" for option in OPTIONS]
    if any(config.getoption(key) is not None for key in keys) or any(name.startswith("KDMEM_") for name in os.environ):
        return True
    if unknown_keys(config):
        return True
    try:
        return any(config.getini(key) not in (None, "", []) for key in keys)
    except (TypeError, ValueError):
        return True
