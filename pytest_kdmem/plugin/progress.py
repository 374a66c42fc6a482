"""The progress of an audit, as the run of pytest that holds it can show it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, Bar, Lines, Progress


def progress_of(config: pytest.Config) -> Progress:
    """Return a bar for a terminal, lines for a log, and nothing in a quiet run or a worker of pytest-xdist."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None or config.option.verbose < 0:
        return NO_PROGRESS
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if reporter.isatty:
        return Bar(capture)

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            reporter.ensure_newline()
            reporter.write_line(line)

    return Lines(write)
