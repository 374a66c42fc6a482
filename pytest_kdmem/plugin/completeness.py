"""How completely a session held its audits: which tests failed, were not collected, or were not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import Any

import pytest

from pytest_kdmem.plugin.collection import is_audit


def failed_nodeids(config: pytest.Config) -> list[str]:
    """Return tests that failed in any process, including one that crashed, as the terminal counts them."""
    stats = _terminal_stats(config)
    return [
        report.nodeid for kind in ("failed", "error") for report in stats.get(kind, []) if hasattr(report, "nodeid")
    ]


def uncollected_files(config: pytest.Config, audit_nodeids: Iterable[str]) -> list[str]:
    """Return files that broke before it was known whether they hold audits, and those skipped beside audits."""
    audit_folders = {_folder(nodeid.split("::")[0]) for nodeid in audit_nodeids}
    stats = _terminal_stats(config)
    return [
        report.nodeid
        for kind in ("error", "skipped")
        for report in stats.get(kind, [])
        if isinstance(report, pytest.CollectReport) and (kind == "error" or _folder(report.nodeid) in audit_folders)
    ]


def is_narrowed(session: pytest.Session, deselected: Sequence[pytest.Item]) -> bool:
    """Whether audits may have tests that are not in this session, and of which pytest does not tell.

    Tests were asked for by name, or as they failed last; or a file beside one that holds audits was left out.
    """
    config = session.config
    last_failed = config.pluginmanager.get_plugin("lfplugin")
    only_last_failed = bool(config.getoption("lf", False)) and bool(getattr(last_failed, "lastfailed", None))
    return only_last_failed or _leaves_files_out(session, deselected) or any("::" in name for name in config.args)


def _leaves_files_out(session: pytest.Session, deselected: Sequence[pytest.Item]) -> bool:
    items = [*session.items, *deselected]
    collected = {item.path for item in items}
    folders = {item.path.parent for item in items if is_audit(item)}
    left_out = {path for folder in folders for path in folder.iterdir()} - collected
    patterns = session.config.getini("python_files")
    return any(path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns) for path in left_out)


def _folder(nodeid: str) -> str:
    return nodeid.rpartition("/")[0]


def _terminal_stats(config: pytest.Config) -> dict[str, list[Any]]:
    """Return the reports that the terminal counts, by outcome."""
    stats: dict[str, list[Any]] = getattr(config.pluginmanager.get_plugin("terminalreporter"), "stats", {})
    return stats
