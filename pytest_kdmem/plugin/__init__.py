"""What pytest loads in every run: options, fixtures, and a look whether anything is audited. All else waits for that.

PYTEST_DONT_REWRITE: there is no assert in it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_kdmem.plugin import fixtures
from pytest_kdmem.plugin.collection import DESELECTED, is_audit
from pytest_kdmem.plugin.options import add_options, unknown_keys
from pytest_kdmem.specs.options import OPTIONS


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(fixtures, "kdmem-fixtures")
    if _anything_set(config):
        from pytest_kdmem.plugin.settings import remove_reports, settings_of
        from pytest_kdmem.plugin.validation import check_configuration, check_names, check_settings

        check_configuration(config)
        check_names(config)
        settings = settings_of(config)
        if settings.overrides("report") and not config.option.collectonly and not config.option.help:
            remove_reports(settings)
        check_settings(settings)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(map(is_audit, items)):
        from pytest_kdmem.plugin.hooks import activate

        activate(config)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember audits that were left out: gates that are not held must not be missing from a verdict."""
    for item in filter(is_audit, items):
        item.config.stash.setdefault(DESELECTED, []).append(item)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Without a cache, workers of pytest-xdist share the controller's folder, or each would score every model."""
    from pytest_kdmem.plugin.settings import cache_of, settings_of

    if settings_of(node.config)["no_cache"]:
        node.workerinput["kdmem_scratch"] = str(cache_of(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if (sent := getattr(node, "workeroutput", {}).get("kdmem")) is not None:
        from pytest_kdmem.plugin.hooks import activate, take_part

        activate(node.config)
        take_part(node.config, sent)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """An audit that could not be held is an error, whatever phase it broke in."""
    if getattr(report, "kdmem_error", False) and report.failed:
        return "error", "E", "ERROR"
    return None


def _anything_set(config: pytest.Config) -> bool:
    """Whether any setting may have been given; whether it is a good one is for `settings` to say."""
    keys = [f"kdmem_{option.key}" for option in OPTIONS]
    if any(config.getoption(key) is not None for key in keys) or any(name.startswith("KDMEM_") for name in os.environ):
        return True
    if unknown_keys(config):
        return True
    try:
        return any(config.getini(key) not in (None, "", []) for key in keys)
    except (TypeError, ValueError):
        return True
