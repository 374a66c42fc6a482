"""What pytest collected and what failed, kept from the start of every run, so that no gate vanishes unseen.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

PLUGIN_NAME = "kdmem-watch"


class Watch:
    """Listens to pytest. It needs no terminal, and it is told of a test before any hook can drop it.

    Attributes:
        items: Every test that was collected, also those that were dropped from the session later.
        uncollected: Reports of files that broke or were skipped while they were collected.
        failed: Node ids of tests that failed, in any process.
        has_collected: Whether the collection came to its end; workers of pytest-xdist collect for themselves.
    """

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []
        self.uncollected: list[pytest.CollectReport] = []
        self.failed: list[str] = []
        self.has_collected = False

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.items.append(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self.uncollected.append(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        result = yield
        self.has_collected = True
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def dropped(self, kept: Iterable[pytest.Item]) -> list[pytest.Item]:
        """Return the tests that were collected and are not among those kept."""
        kept_ids = set(map(id, kept))
        return [item for item in self.items if id(item) not in kept_ids]


def start_watch(config: pytest.Config) -> Watch:
    """Begin to listen to a run of pytest, before any other plugin can end it; returns what already listens, if any."""
    if not config.pluginmanager.has_plugin(PLUGIN_NAME):
        config.pluginmanager.register(Watch(), PLUGIN_NAME)
    return watch_of(config)


def watch_of(config: pytest.Config) -> Watch:
    """Return what was kept of a run."""
    watch: Watch = config.pluginmanager.get_plugin(PLUGIN_NAME)  # type: ignore[assignment]
    return watch
