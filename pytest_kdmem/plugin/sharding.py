"""A part of an audit (`--kdmem-shard 3/16`): it scores its share of the examples, and no gate is held in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.plugin.validation import persistent_source

SHARD_FLAG = "--kdmem-shard"


def shard_error(config: pytest.Config, settings: Settings) -> str:
    """Return an error if the part would be one of every run, in which no gate would ever be held; or ""."""
    source = persistent_source(config, settings, SHARD_FLAG)
    message = f"A part belongs to one run: {SHARD_FLAG} was expected on the command line, and found by way of {source}."
    return message if source else ""


def skip_if_scored(item: pytest.Item, report: pytest.TestReport, error: BaseException | None, less: str) -> bool:
    """Show a test as skipped if it ended with its part or dry run, or passed by catching the lack of figures.

    Args:
        item: The test.
        report: Its report, which is changed.
        error: What it ended with.
        less: What was run instead of the audit, in words.
    """
    errors = sys.modules.get("pytest_kdmem.errors")
    ended_with_part = errors is not None and isinstance(error, errors.PartScored)
    if not ended_with_part and not (report.passed and report.when == "call"):
        return False
    report.outcome = "skipped"
    report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {less}, no gate is evaluated")
    return True


def print_shard_summary(terminalreporter: Any, shard: str, cache_dir: Path, *, is_incomplete: bool) -> None:
    """Print at the end what was scored and what to do next."""
    terminalreporter.section("memorization audit")
    terminalreporter.write_line(
        f"part {shard} is {'not complete' if is_incomplete else 'scored'}, and no gate was evaluated; scores are in"
        f" {cache_dir}. Once all parts are scored, collect them with `kdmem merge` if they lie in several folders,"
        f" and audit without {SHARD_FLAG}.",
        red=is_incomplete,
    )
