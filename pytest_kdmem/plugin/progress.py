"""The progress of an audit, as the run of pytest that holds it can show it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, Lines, Progress

if TYPE_CHECKING:
    from rich.console import Console

# With -qq, pytest shows neither what it runs nor how far it is.
QUIETEST_WITH_LINE = -1


def progress_of(config: pytest.Config) -> Progress:
    """Return a live line for a terminal, lines for a log, and nothing in a quiet log.

    A worker of pytest-xdist tells the process that started it, which draws the line.
    """
    if hasattr(config, "workerinput"):
        from pytest_kdmem.plugin.worker_progress import progress_of_worker

        return progress_of_worker(config)
    if can_draw(config):
        return _bar(config)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.verbose < 0:
        return NO_PROGRESS
    capture = _capture(config)

    def write(line: str) -> None:
        with _uncaptured(capture):
            reporter.ensure_newline()
            reporter.write_line(line)

    return Lines(write)


def can_draw(config: pytest.Config) -> bool:
    """Whether a line that is redrawn in place breaks nothing of what pytest shows."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    # Log records that pytest writes to the terminal while tests run would break it.
    logs_live = config.getini("log_cli") or config.getoption("log_cli_level", None)
    is_shown = reporter is not None and reporter.isatty and config.option.verbose >= QUIETEST_WITH_LINE
    return is_shown and not logs_live


def open_terminal(config: pytest.Config) -> TextIO:
    """Open the terminal that pytest was started on, whatever it captures by now."""
    with _uncaptured(_capture(config)):
        encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
        return os.fdopen(os.dup(1), "w", encoding=encoding, errors="replace")


def console_on(terminal: TextIO) -> Console:
    """Return a console that is as large as the terminal is now."""
    from rich.console import Console

    try:
        width, height = os.get_terminal_size(terminal.fileno())
    except OSError:
        width, height = 80, 24
    return Console(file=terminal, force_terminal=True, width=width, height=height, highlight=False, markup=False)


def below_current_line(config: pytest.Config) -> Callable[[Console], AbstractContextManager[object]]:
    """Return a context that draws below the line that pytest has begun, and gives the cursor back behind its end."""
    writer = config.get_terminal_writer()

    @contextmanager
    def below(drawn_on: Console) -> Iterator[None]:
        writer.flush()
        column = writer.width_of_current_line % drawn_on.width
        if column:
            drawn_on.file.write("\n")
            drawn_on.file.flush()
        yield
        if column:
            drawn_on.file.write(f"\x1b[A\x1b[{column + 1}G")
            drawn_on.file.flush()

    return below


def _capture(config: pytest.Config) -> Any:
    return config.pluginmanager.get_plugin("capturemanager")


def _uncaptured(capture: Any) -> Any:
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def _bar(config: pytest.Config) -> Progress:
    """A bar on the terminal itself, so that pytest goes on to capture what is printed while it is drawn."""
    from pytest_kdmem.base.progress_bar import Bar

    terminal = cache(lambda: open_terminal(config))
    capture = _capture(config)
    if capture is not None and capture.is_globally_capturing():
        return Bar(lambda: console_on(terminal()), below_current_line(config), takes_prints=False)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")

    @contextmanager
    def on_a_line_of_its_own(_drawn_on: Console) -> Iterator[None]:
        reporter.ensure_newline()  # what tests print meanwhile stands between
        yield

    return Bar(lambda: console_on(terminal()), on_a_line_of_its_own)
