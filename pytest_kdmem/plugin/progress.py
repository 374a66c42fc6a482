"""The progress of an audit, as the run of pytest that holds it can show it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, Lines, Progress

if TYPE_CHECKING:
    from rich.console import Console


def progress_of(config: pytest.Config) -> Progress:
    """Return a bar for a terminal, lines for a log, and nothing in a quiet run or a worker of pytest-xdist."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None or config.option.verbose < 0:
        return NO_PROGRESS
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if reporter.isatty and not _logs_live(config):
        return _bar(config, reporter, capture)

    def write(line: str) -> None:
        with _uncaptured(capture):
            reporter.ensure_newline()
            reporter.write_line(line)

    return Lines(write)


def _logs_live(config: pytest.Config) -> bool:
    """Whether pytest writes log records to the terminal while tests run, which would break a bar."""
    return bool(config.getini("log_cli") or config.getoption("log_cli_level", None))


def _uncaptured(capture: Any) -> Any:
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def _bar(config: pytest.Config, reporter: Any, capture: Any) -> Progress:
    """A bar on the terminal itself, so that pytest goes on to capture what is printed while it is drawn."""
    from pytest_kdmem.base.progress_bar import Bar

    is_captured = capture is not None and capture.is_globally_capturing()
    streams: list[Any] = []

    def console() -> Console:
        from rich.console import Console

        if not streams:
            with _uncaptured(capture):
                encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
                streams.append(os.fdopen(os.dup(1), "w", encoding=encoding, errors="replace"))
        try:
            width, height = os.get_terminal_size(streams[0].fileno())
        except OSError:
            width, height = 80, 24
        return Console(file=streams[0], force_terminal=True, width=width, height=height, highlight=False, markup=False)

    @contextmanager
    def below_current_line(drawn_on: Console) -> Iterator[None]:
        """Draw below the line that pytest has begun, and give the cursor back behind what stands there."""
        if not is_captured:  # what tests print meanwhile stands between
            reporter.ensure_newline()
            yield
            return
        column = config.get_terminal_writer().width_of_current_line % drawn_on.width
        if column:
            drawn_on.file.write("\n")
            drawn_on.file.flush()
        yield
        if column:
            drawn_on.file.write(f"\x1b[A\x1b[{column + 1}G")
            drawn_on.file.flush()

    return Bar(console, below_current_line, takes_prints=not is_captured)
