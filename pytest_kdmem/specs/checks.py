"""Checks of single values, each of which returns what was expected, or an empty string if the value is right.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

from pytest_kdmem.base.addresses import SCHEMES, ending
from pytest_kdmem.base.paths import can_be_path
from pytest_kdmem.errors import SpecError

# What a run card may say otherwise than an audit.
PROVENANCE_KINDS = ("training-set", "teacher", "role", "window", "template", "weights")
# Returns what was expected instead of a value ("a whole number of at least 1"), or "" if the value is right.
Check = Callable[[Any], str]


def require(name: str, value: Any, check: Check) -> None:
    """Raise SpecError, which names the value and what was expected of it, unless it passes the check."""
    if expected := check(value):
        from pytest_kdmem.errors.harmless import quoted

        raise SpecError(f"{name} must be {expected}; found {quoted(value)}.")


def choice(*choices: str) -> Check:
    """One of some words."""
    expected = f"one of {', '.join(choices)}" if choices else "left out, because there is nothing to choose from"
    return lambda value: "" if value in choices else expected


def whole_number(least: int, *, bits: int | None = None) -> Check:
    """A whole number (True and 1.0 are none) of at least ``least`` and, if ``bits`` are given, below 2**bits."""
    below = math.inf if bits is None else 2**bits

    def check(value: Any) -> str:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            return f"a whole number of at least {least}"
        return "" if value < below else f"below 2**{bits}"

    return check


def number(
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> Check:
    """A number within limits; ``least`` and ``most`` are allowed themselves, ``above`` and ``below`` are not.

    NaN is never allowed, and infinity only if ``finite`` is false.
    """
    if least is not None and most is not None:
        expected = f"a number between {least:g} and {most:g}"
    else:
        limits = {"of at least": least, "above": above, "of at most": most, "below": below}
        expected = "a number " + " and ".join(
            f"{word} {limit:g}" for word, limit in limits.items() if limit is not None
        )

    def check(value: Any) -> str:
        is_right = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (math.isfinite(value) or (not finite and not math.isnan(value)))
            and (least is None or value >= least)
            and (most is None or value <= most)
            and (above is None or value > above)
            and (below is None or value < below)
        )
        return "" if is_right else expected

    return check


def limit_of_share(value: Any) -> str:
    """A share that a rate may be at most: 1 would be 100 %, which no rate exceeds, and is most likely meant as 1 %."""
    return "a share of at least 0 and below 1 (1% is 0.01)" if number(least=0, below=1)(value) else ""


def plain(value: Any) -> Any:
    """A real number of any type, as NumPy has its own, as a float; any other value as it is."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def optional(check: Check) -> Check:
    """None, or a value that passes another check."""
    return lambda value: "" if value is None else check(value)


def truth(value: Any) -> str:
    """True or False."""
    return "" if isinstance(value, bool) else "true or false"


def to_truth(value: Any) -> bool:
    """The truth that a word of an option or of a configuration stands for.

    Raises:
        ValueError: It is no such word.
    """
    if isinstance(value, bool):
        return value
    truths = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in truths:
        raise ValueError(f"yes or no was expected; found {value!r}")
    return truths[str(value).lower()]


def nonempty_text(value: Any) -> str:
    """Text of at least one character."""
    return "" if isinstance(value, str) and value else "a text"


def source(value: Any) -> str:
    """A path, or what may be a hub id or an address, without a password: reports show it."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not can_be_path(text):
        return "a path or a hub id"
    from pytest_kdmem.errors.harmless import without_secrets

    return "" if without_secrets(text) == text else "without a password or key, which belong in the environment"


def local_file(value: Any) -> str:
    """A path that a file can have."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return "" if isinstance(text, str) and can_be_path(text) else "a path"


def part_of_run(value: Any) -> str:
    """A part of a run that array jobs share, such as ``3/16``."""
    number, slash, parts = str(value).partition("/")
    plain = all(text.isascii() and text.isdigit() and len(text) < 10 for text in (number, parts))
    return "" if slash and plain and 1 <= int(number) <= int(parts) else "of the form 3/16, the third of 16 parts"


def path_ending_in(*endings: str) -> Check:
    """A path on this machine with one of some endings."""
    expected = f"a path ending in {', '.join(endings)}"
    return lambda value: on_this_machine(value) or ("" if Path(value).suffix in endings else expected)


def places_ending_in(*endings: str) -> Check:
    """Paths or addresses that each have one of some endings."""
    expected = f"a path ending in {', '.join(endings)}"
    return lambda places: expected if any(ending(place) not in endings for place in places) else ""


def on_this_machine(value: Any) -> str:
    """A path and no address, of which pathlib leaves one slash."""
    is_path = not re.match(rf"(?:{'|'.join(SCHEMES)}|https?):/", os.fspath(value))
    return "" if is_path else "a path on this machine, and not an address: copy the file here, and name the copy"


def provenance_names(value: Any) -> str:
    """Differences between a run card and an audit, such as ``student:training-set,baseline:role``."""
    kinds = [name.rpartition(":") for name in str(value).split(",")]
    plain = all(role and kind in PROVENANCE_KINDS for role, _, kind in kinds)
    return "" if plain else f"of the form student:training-set, with one of {', '.join(PROVENANCE_KINDS)} as the kind"
