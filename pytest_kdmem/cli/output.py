"""Prints the results of commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_kdmem.errors.harmless import harmless

if TYPE_CHECKING:
    from rich.table import Table

    from pytest_kdmem.report.glyphs import Glyphs

WIDEST = 1000  # characters; a terminal wraps the lines of a wider table


def say(line: str, style: str | None = None) -> None:
    """Print one line of a result; what it quotes of files and addresses is made harmless as in an error."""
    from rich.console import Console

    from pytest_kdmem.report.glyphs import ASCII

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    text = harmless(line)
    console.print(text if (console.encoding or "ascii").startswith("utf") else ASCII.clean(text), style=style)


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


def print_table(draw: Callable[[Glyphs], Table]) -> None:
    """Print a table, drawn with the characters that the terminal has; no number is cut where it is narrow."""
    from rich.console import Console
    from rich.measure import Measurement

    from pytest_kdmem.report.glyphs import ASCII, UNICODE

    console = Console(highlight=False, markup=False, emoji=False)
    table = draw(UNICODE if (console.encoding or "ascii").startswith("utf") else ASCII)
    needed = Measurement.get(console, console.options.update(width=WIDEST), table).maximum
    console.width = max(console.width, needed)
    console.print(table)
