"""How completely a session held its audits: which of their tests failed, broke, were left out or never collected."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pytest_kdmem.plugin.watch import watch_of
from pytest_kdmem.plugin.written_tests import UNKNOWN, Patterns, WrittenTest, declares_roles, written_audits


def failed_nodeids(config: pytest.Config) -> list[str]:
    """Return tests that failed in any process, including one that crashed."""
    return list(watch_of(config).failed)


def uncollected_files(config: pytest.Config, audit_nodeids: Iterable[str]) -> list[str]:
    """Return files that broke before it was known whether they hold audits, and those skipped beside audits."""
    audit_folders = {_folder(nodeid.split("::")[0]) for nodeid in audit_nodeids}
    return [
        report.nodeid
        for report in watch_of(config).uncollected
        if report.failed or _folder(report.nodeid) in audit_folders
    ]


def is_narrowed(config: pytest.Config) -> bool:
    """Whether tests were asked for by name, or as they failed last: pytest tells of no others then."""
    last_failed = config.pluginmanager.get_plugin("lfplugin")
    only_last_failed = bool(config.getoption("lf", False)) and bool(getattr(last_failed, "lastfailed", None))
    return only_last_failed or any("::" in name for name in config.args)


def lost_tests(config: pytest.Config, places: Iterable[str]) -> dict[str, str]:
    """Return the tests that stand in an audit's files and were never collected: place of the audit, by node id.

    An audit's files are those below the folder that declares it, but for folders whose conftest declares another one.
    """
    collected = _Collected(watch_of(config).items)
    lost: dict[str, str] = {}
    for place in places:
        base = config.rootpath / place.split("::")[0]
        for file in _test_files(base, config):
            nodeid = _nodeid(file, config)
            for test in collected.missing(file, _written(file, config)):
                name = f"{nodeid}::{test.name}" if test.name != UNKNOWN else nodeid
                lost.setdefault(name if not collected.has(name) else f"{name} (line {test.line})", place)
    return lost


def audits_below(config: pytest.Config) -> list[str]:
    """Return the files asked for that hold audits by their source, whatever became of their collection."""
    places = [(config.invocation_params.dir / name.split("::")[0]).resolve() for name in config.args]
    files = [file for place in places for file in _test_files(place, config, nested=True)]
    return [_nodeid(file, config) for file in files if any(test.name != UNKNOWN for test in _written(file, config))]


class _Collected:
    """The tests that pytest collected, by the place of their source and by name."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self._lines: set[tuple[Path, int]] = set()
        self._nodeids = {item.nodeid.partition("[")[0] for item in items}
        self._names: dict[Path, set[str]] = {}
        for item in items:
            self._names.setdefault(item.path, set()).add(item.nodeid.partition("::")[2].partition("[")[0])
            code = getattr(inspect.unwrap(getattr(item, "function", None) or _nothing), "__code__", None)
            if code is not None:
                self._lines.add((Path(code.co_filename), code.co_firstlineno))

    def has(self, nodeid: str) -> bool:
        return nodeid in self._nodeids

    def missing(self, file: Path, tests: list[WrittenTest]) -> Iterator[WrittenTest]:
        """Yield the tests of a file that were not collected: of two of one name pytest knows the last alone."""
        times, names = Counter(test.name for test in tests), self._names.get(file, set())
        for test in tests:
            by_name = test.name in names and times[test.name] == 1
            of_collected_file = test.name == UNKNOWN and bool(names)
            if not (by_name or of_collected_file or (file, test.line) in self._lines):
                yield test


def _nothing() -> None:
    pass


def _written(file: Path, config: pytest.Config) -> list[WrittenTest]:
    folders = [folder for folder in file.parents if folder.is_relative_to(config.rootpath)]
    conftests = [conftest for folder in folders if (conftest := folder / "conftest.py").is_file()]
    patterns = Patterns(config.getini("python_functions"), config.getini("python_classes"))
    return written_audits(file, conftests, patterns)


def _test_files(base: Path, config: pytest.Config, *, nested: bool = False) -> Iterator[Path]:
    """Yield the test files at or below a place, without folders that pytest does not enter.

    Args:
        base: A file or folder.
        config: Configuration of the run.
        nested: Whether folders whose conftest declares an audit of its own are entered.
    """
    if base.is_file():
        yield base
        return
    patterns, skipped = config.getini("python_files"), config.getini("norecursedirs")
    for name, folders, files in os.walk(base):
        folder = Path(name)
        folders[:] = [
            each
            for each in sorted(folders)
            if not any(fnmatch(each, pattern) for pattern in skipped)
            and not (folder / each / "pyvenv.cfg").is_file()
            and (nested or not _is_another_audit(folder / each / "conftest.py"))
        ]
        yield from (folder / each for each in sorted(files) if any(fnmatch(each, pattern) for pattern in patterns))


def _is_another_audit(conftest: Path) -> bool:
    return conftest.is_file() and declares_roles(conftest)


def _nodeid(file: Path, config: pytest.Config) -> str:
    return Path(os.path.relpath(file, config.rootpath)).as_posix()


def _folder(nodeid: str) -> str:
    return nodeid.rpartition("/")[0]
