"""Formats numbers and names for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches


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
