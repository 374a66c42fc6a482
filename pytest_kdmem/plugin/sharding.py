"""A part of an audit (`--kdmem-shard 3/16`): everything it does to a session, so that no gate is held in one."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pytest_kdmem.plugin.settings import cache_of, settings_of
from pytest_kdmem.plugin.validation import lasting

FLAG = "--kdmem-shard"


def part_of(config: pytest.Config) -> str:
    """The part that this run scores, as it was given, or nothing."""
    return settings_of(config)["shard"] or ""


def wrong_part(config: pytest.Config) -> str:
    """What is wrong with a part that would be one of every run, in which no gate would ever be held."""
    place = lasting(config, FLAG)
    said = f"A part is for one run: {FLAG} was expected on the command line, and found by way of {place} instead."
    return said if place else ""


def skip(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> bool:
    """Show a test as skipped if it ended with its part, or passed over figures that it caught the lack of."""
    if not (part := part_of(item.config)):
        return False
    errors = sys.modules.get("pytest_kdmem.errors")
    is_part = errors is not None and isinstance(error, errors.PartScored)
    if not is_part and not (report.passed and report.when == "call"):
        return False
    report.outcome = "skipped"
    report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: part {part}, no gate is held")
    return True


def tell(terminalreporter: Any, config: pytest.Config, broken: bool) -> None:
    """Say at the end what was done and what is to follow."""
    terminalreporter.section("memorization audit")
    terminalreporter.write_line(
        f"part {part_of(config)} is {'not complete' if broken else 'scored'}, and no gate was held; scores are in"
        f" {cache_of(config)}. Once all parts are scored: gather them with `kdmem merge` if they lie in several"
        f" folders, and audit without {FLAG}.",
        red=broken,
    )
