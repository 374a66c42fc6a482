"""The one console of this process: lines that are printed through it while a bar is drawn stand above the bar."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def shared_console() -> Console:
    """Return the console of standard output."""
    # While a bar is drawn, rich puts a stream of its own in the place of standard output.
    return _console_on(getattr(sys.stdout, "rich_proxied_file", sys.stdout))


@lru_cache(maxsize=1)
def _console_on(_stream: object) -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
