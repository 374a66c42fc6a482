"""Formats numbers and names for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from textwrap import wrap

UNITS = ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of at most so many characters, broken between words; a word that is longer stays whole."""
    if len(line) <= width:
        return [line]
    return wrap(line, max(3, width), break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")


def last_part(source: str) -> str:
    """The last part of a path, hub id or address, without the query of an address."""
    address = source.partition("?")[0] if "://" in source else source
    return address.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def percent(value: float) -> str:
    """A proportion in per cent, with two decimals, or more if the first two would be zeros."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else "infinite"
    shown = 100 * value
    if shown == 0 or abs(shown) >= 0.095:
        return f"{shown:.2f}%"
    return f"{shown:.{1 - math.floor(math.log10(abs(shown)))}f}%"


def count(number: int) -> str:
    """A whole number with its digits in groups of three: 1 000 000."""
    return f"{number:,}".replace(",", " ")


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of ``names`` that is likeliest to be meant by a misspelt name."""
    return get_close_matches(name, sorted(names), 1, 0)[0]


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(number_of_bytes: float) -> str:
    """A number of bytes in the unit that suits it."""
    unit, divisor = next((pair for pair in UNITS if number_of_bytes < 1000 * pair[1]), UNITS[-1])
    return f"{number_of_bytes / divisor:.3g} {unit}"
