"""Prints the results of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_kdmem.errors.harmless import harmless

if TYPE_CHECKING:
    from rich.table import Table

    from pytest_kdmem.report.glyphs import Glyphs


def say(line: str, style: str | None = None) -> None:
    """Print one line of a result; what it quotes of files and addresses is made harmless as in an error."""
    from rich.console import Console

    from pytest_kdmem.report.glyphs import ASCII

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    text = harmless(line)
    console.print(text if (console.encoding or "ascii").startswith("utf") else ASCII.clean(text), style=style)


def print_table(draw: Callable[[Glyphs], Table]) -> None:
    """Print a table, drawn with the characters that the terminal has; no row is wrapped."""
    from rich.console import Console

    from pytest_kdmem.report.glyphs import ASCII, UNICODE

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(draw(UNICODE if (console.encoding or "ascii").startswith("utf") else ASCII))
