"""What pytest loads in every run: options, fixtures, and a check whether anything is audited. All else waits for that.

PYTEST_DONT_REWRITE: there is no assert in it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_kdmem.plugin import fixtures
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.options import add_options, unknown_keys
from pytest_kdmem.specs.options import OPTIONS


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(fixtures, "kdmem-fixtures")
    if _is_anything_set(config):
        from pytest_kdmem.plugin.session import session_of
        from pytest_kdmem.plugin.settings import remove_reports
        from pytest_kdmem.plugin.validation import check_configuration, check_names, check_settings

        check_configuration(config)
        check_names(config)
        settings = session_of(config).settings
        if settings.overrides("report") and not config.option.collectonly and not config.option.help:
            remove_reports(settings)
        check_settings(settings)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(map(is_audit, items)):
        from pytest_kdmem.plugin.hooks import activate

        activate(config)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Keep audits that were left out: a verdict says which of its gates were not held."""
    if audits := list(filter(is_audit, items)):
        from pytest_kdmem.plugin.session import session_of

        session_of(audits[0].config).deselected += audits


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Without a cache, workers of pytest-xdist share the controller's folder, or each would score every model."""
    from pytest_kdmem.plugin.session import session_of

    session = session_of(node.config)
    if session.settings["no_cache"]:
        node.workerinput["kdmem_scratch"] = str(session.cache_dir)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if (worker_output := getattr(node, "workeroutput", {}).get("kdmem")) is not None:
        from pytest_kdmem.plugin.hooks import activate
        from pytest_kdmem.plugin.session import session_of

        activate(node.config)
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
