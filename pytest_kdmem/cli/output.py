"""Prints the results of commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from pytest_kdmem.base.console import shared_console
from pytest_kdmem.base.progress import NO_PROGRESS, Lines, Progress
from pytest_kdmem.base.text import wrapped
from pytest_kdmem.errors.harmless import harmless

if TYPE_CHECKING:
    from rich.table import Table

    from pytest_kdmem.report.glyphs import Glyphs

WIDEST = 1000  # characters; a terminal wraps the lines of a wider table


def say(line: str, style: str | None = None) -> None:
    """Print one line of a result; what it quotes of files and addresses is made harmless as in an error."""
    from pytest_kdmem.report.glyphs import ASCII

    console, text = shared_console(), harmless(line)
    shown = text if (console.encoding or "ascii").startswith("utf") else ASCII.clean(text)
    for part in wrapped(shown, console.width) if console.is_terminal else [shown]:
        console.print(part, style=style, soft_wrap=True)


def say_error(sentence: str) -> None:
    """Print a sentence on standard error, of what went wrong or was stopped."""
    line = f"kdmem: {with_command_flags(sentence)}"
    for part in wrapped(line, get_terminal_size().columns) if sys.stderr.isatty() else [line]:
        print(part, file=sys.stderr)


def speaks_for_all() -> bool:
    """Whether this process is the one that prints, of those that a launcher started together."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def shown_progress(first: str) -> Iterator[Progress]:
    """Show the progress of a command: a line on the terminal that goes with the command, or lines on stderr.

    Args:
        first: What the command does first, shown before anything is loaded.
    """
    if not speaks_for_all():
        yield NO_PROGRESS
        return
    progress: Progress = Lines(lambda line: print(harmless(line), file=sys.stderr, flush=True))
    if sys.stdout.isatty():
        from pytest_kdmem.base.progress_bar import Bar

        progress = Bar()
    progress.status(first)
    try:
        yield progress
    finally:
        progress.finish()


def versions() -> str:
    """The versions of this package, of Python and of what runs the models; nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    parts = [f"kdmem {version('pytest-kdmem')}", f"Python {python_version()}"]
    for package in ("torch", "transformers", "vllm"):
        with suppress(PackageNotFoundError):
            parts.append(f"{package} {version(package)}")
    return ", ".join(parts)


def with_command_flags(message: str) -> str:
    """Name settings as commands take them, without the prefix that pytest's options have."""
    return message.replace("--kdmem-risk-threshold", "--threshold").replace("--kdmem-", "--")


def say_warning(note: str) -> None:
    """Print a note that is shared with audits, on a line of its own."""
    say(with_command_flags(f"warning: {note}"))


def print_tables(draw: Callable[[Glyphs, int], Sequence[Table]]) -> None:
    """Print tables, drawn with the characters that the terminal has; no number is cut where it is narrow.

    Args:
        draw: Draws tables that fit so many columns as far as numbers allow; a file or a pipe has any number.
    """
    from rich.console import Console
    from rich.measure import Measurement

    from pytest_kdmem.report.glyphs import ASCII, UNICODE

    console = shared_console()
    glyphs = UNICODE if (console.encoding or "ascii").startswith("utf") else ASCII
    for table in draw(glyphs, console.width if console.is_terminal else WIDEST):
        needed = Measurement.get(console, console.options.update(width=WIDEST), table)
        width = needed.maximum if not console.is_terminal else max(console.width, needed.minimum)
        # A console draws no table wider than itself, and takes a pipe for as wide as the setting COLUMNS, or 80.
        Console(width=width, highlight=False, markup=False, emoji=False).print(table, crop=False)
