"""Single settings of a model's config.json, each checked for its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.layout import CONFIG

# Names of torch for the floating-point numbers that a configuration may ask for.
DTYPES = frozenset({"float64", "float32", "float16", "bfloat16", "float", "double", "half"})


def declared_dtype(config: Mapping[str, Any], folder: Path) -> str | None:
    """The dtype that a configuration names; None if it names none, or one for each of its parts.

    Raises:
        SpecError: It is none of torch's.
    """
    value = config.get("dtype") or config.get("torch_dtype")
    if value is None or value == "auto" or isinstance(value, dict):
        return None
    if not isinstance(value, str) or value not in DTYPES:
        raise SpecError(
            f"One of {', '.join(sorted(DTYPES))} was expected as dtype in {folder / CONFIG}; found {value!r}."
        )
    return str(value)


def first_whole_number(config: Mapping[str, Any], keys: tuple[str, ...], folder: Path) -> int | None:
    """The value of the first of these settings that is in a configuration.

    Raises:
        SpecError: It is no whole number.
    """
    for key in keys:
        value = config.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError(f"A whole number was expected as {key} in {folder / CONFIG}; found {quoted(value)}.")
            return value
    return None
