"""Reads the rows of .npy files, a few at a time and without trusting what the file says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import to_token_ids
from pytest_kdmem.errors import DataError

BYTES_AT_ONCE = 1 << 24
READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Header(NamedTuple):
    """What a .npy file says of its array ``[examples, tokens]``."""

    examples: int
    tokens: int
    dtype: np.dtype[np.integer]
    by_columns: bool


def read_rows(path: Path) -> Iterator[TokenIds]:
    """The rows of an array of token ids, in order. The file is read and not mapped: it may be cut short meanwhile.

    Raises:
        DataError: The file holds no array ``[examples, tokens]`` of whole numbers, or fewer bytes than it says.
    """
    with path.open("rb") as file:
        header = array_header(file, path)
        for first, rows in array_chunks(file, header, path):
            for index, row in enumerate(rows, start=first):
                yield to_token_ids(row, f"row {index} of {path}")


def number_of_rows(path: Path) -> int:
    """The number of examples that a file says it holds.

    Raises:
        DataError: It holds no array of token ids.
    """
    with path.open("rb") as file:
        return array_header(file, path).examples


def read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape and type of the array in a .npy file, and whether it lies there by columns; the file stands behind these.

    Raises:
        DataError: The file is another, or holds objects.
    """
    try:
        version = np.lib.format.read_magic(file)
        shape, by_columns, dtype = READ_HEADER[version](file)
        if dtype.hasobject:
            raise ValueError("objects, which are pickled")
    except Exception as error:  # the header is parsed as Python, which fails in many ways
        raise DataError(f"An array of token ids was expected in {path}, which is no plain .npy file.") from error
    return shape, by_columns, dtype


def array_header(file: BinaryIO, path: Path) -> Header:
    """What a file says of its array of token ids; the file stands behind it.

    Raises:
        DataError: It holds none, or fewer bytes than it says.
    """
    shape, by_columns, dtype = read_header(file, path)
    if len(shape) != 2 or not np.issubdtype(dtype, np.integer) or min(shape) < 0 or (shape[0] and not shape[1]):
        way_out = ': write a stream as a flat .bin file (array.tofile("train.bin"))' if len(shape) == 1 else ""
        raise DataError(
            f"Whole numbers of shape [examples, tokens] were expected in {path}; found {dtype} of shape {list(shape)}"
            f"{way_out}."
        )
    expected, size = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if size < expected:
        raise DataError(f"{expected} bytes of token ids were expected in {path}, which is cut short ({size} bytes).")
    examples, tokens = map(int, shape)
    return Header(examples, tokens, dtype, by_columns)


def array_chunks(file: BinaryIO, header: Header, path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Rows ``[n, tokens]`` of a file that stands behind its header, each chunk with the index of its first row.

    Raises:
        DataError: The file was cut short meanwhile.
    """
    start, width = file.tell(), header.dtype.itemsize
    at_once = max(1, BYTES_AT_ONCE // max(1, header.tokens * width))
    for first in range(0, header.examples, at_once):
        count = min(at_once, header.examples - first)
        if header.by_columns:  # of each column, the values of these rows
            places = [start + (column * header.examples + first) * width for column in range(header.tokens)]
            content = b"".join(_read(file, place, count * width) for place in places)
        else:
            content = file.read(count * header.tokens * width)
        if len(content) < count * header.tokens * width:
            raise DataError(f"{header.examples} rows were expected in {path}, which was cut short while it was read.")
        rows = np.frombuffer(content, header.dtype)
        yield first, rows.reshape(header.tokens, count).T if header.by_columns else rows.reshape(count, header.tokens)


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
