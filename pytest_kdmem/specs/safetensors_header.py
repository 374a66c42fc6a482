"""Reads what the header of a safetensors file says: its tensors, and where their bytes lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pytest_kdmem.errors import SpecError

LONGEST_HEADER = 100_000_000  # bytes, as the library `safetensors` allows


class TensorEntry(NamedTuple):
    """A tensor in a safetensors file: its name, dtype and shape, and where its bytes begin and end in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_entries(path: Path) -> list[TensorEntry]:
    """Where each tensor lies in a safetensors file, in the order of its header.

    Raises:
        SpecError: It is no such file, it is cut short, or it holds no tensor.
    """
    header, start = read_header(path)
    size = path.stat().st_size
    try:
        entries = [_tensor_entry(name, entry, start) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise SpecError(f"Weights were expected in {path}, which is no safetensors file.") from None
    if not entries:
        raise SpecError(f"Weights were expected in {path}, which holds no tensor.")
    if not all(start <= entry.begin <= entry.end <= size for entry in entries):
        raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save it again.")
    return entries


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where the bytes of its tensors begin.

    Raises:
        SpecError: It is no such file, or it is cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        start = 8 + int.from_bytes(head, "little")
        if len(head) < 8 or start > size or start > LONGEST_HEADER:
            raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save the model again.")
        try:
            header = json.loads(file.read(start - 8))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict):
        raise SpecError(f"Weights were expected in {path}, which is no safetensors file.")
    return header, start


def _tensor_entry(name: str, entry: dict[str, Any], start: int) -> TensorEntry:
    begin, end = entry["data_offsets"]
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    if not isinstance(dtype, str) or not all(type(number) is int for number in (begin, end, *shape)):
        raise TypeError
    return TensorEntry(name, dtype, shape, start + begin, start + end)
