"""How far a session held the audits that there are: what failed, what was not collected, what was not asked for."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any

import pytest

from pytest_kdmem.plugin.collection import DESELECTED, is_audit


def failed(config: pytest.Config) -> list[str]:
    """Tests that failed in any process, one that crashed included, as the terminal counts them."""
    said = _stats(config)
    return [report.nodeid for kind in ("failed", "error") for report in said.get(kind, []) if hasattr(report, "nodeid")]


def uncollected(config: pytest.Config, nodeids: Iterable[str]) -> list[str]:
    """Files that broke before it was known whether they hold audits, and those skipped beside ``nodeids`` of audits."""
    said = [(kind, one) for kind in ("error", "skipped") for one in _stats(config).get(kind, [])]
    beside = {nodeid.split("::")[0].rpartition("/")[0] for nodeid in nodeids}
    return [
        one.nodeid
        for kind, one in said
        if isinstance(one, pytest.CollectReport) and (kind == "error" or one.nodeid.rpartition("/")[0] in beside)
    ]


def narrowed(session: pytest.Session) -> bool:
    """Whether audits may have tests that are not in this session, of which pytest does not tell.

    Tests were asked for by name, or as they failed last; or a file beside one that holds audits was left out.
    """
    config = session.config
    last = config.pluginmanager.get_plugin("lfplugin")
    failed_last = bool(config.getoption("lf", False)) and bool(getattr(last, "lastfailed", None))
    items = [*session.items, *config.stash.get(DESELECTED, [])]
    seen = {item.path for item in items}
    beside = {path for folder in {item.path.parent for item in filter(is_audit, items)} for path in folder.iterdir()}
    patterns = config.getini("python_files")
    left_out = any(any(fnmatch(path.name, one) for one in patterns) for path in beside - seen if path.is_file())
    return failed_last or left_out or any("::" in one for one in config.args)


def _stats(config: pytest.Config) -> dict[str, list[Any]]:
    """What the terminal counts, by outcome."""
    stats: dict[str, list[Any]] = getattr(config.pluginmanager.get_plugin("terminalreporter"), "stats", {})
    return stats
