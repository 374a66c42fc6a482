"""Reads whole numbers of a binary file where they are asked for, and does not map it: it may be cut short meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.paths import is_file
from pytest_kdmem.corpus.file_lines import File
from pytest_kdmem.errors import DataError

# A file on this machine, or one at an address.
BinaryFile: TypeAlias = Path | File

# Largest value that a token id can have.
LARGEST_ID = np.iinfo(np.int32).max

Numbers = npt.NDArray[np.integer[Any]]


# Bytes that are asked of an object store at once, as each question takes its time.
FETCHED_AT_ONCE = 1 << 22


def open_numbers(path: BinaryFile) -> BinaryIO:
    """A file from which a few numbers are read at a time, at any place."""
    if isinstance(path, Path):
        return path.open("rb", buffering=0)
    return BufferedReader(path.filesystem.open_input_file(path.path), FETCHED_AT_ONCE)


def size_of(path: BinaryFile) -> int:
    """The number of bytes of a file."""
    return path.stat().st_size if isinstance(path, Path) else int(path.filesystem.get_file_info(path.path).size)


def is_there(path: BinaryFile) -> bool:
    """Whether there is such a file."""
    return is_file(path) if isinstance(path, Path) else bool(path.filesystem.get_file_info(path.path).is_file)


def read_exactly(file: BinaryIO, size: int, path: BinaryFile) -> bytes:
    """The next bytes of a file.

    Raises:
        DataError: The file ends before them.
    """
    parts: list[bytes] = []
    missing = size
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    if missing:
        raise DataError(f"{size} more bytes were expected in {path}, which was cut short while it was read.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True)
class NumberFile:
    """Numbers of one type that lie one after another in an open file.

    Attributes:
        file: The file.
        path: Its path, in messages.
        dtype: Type of the numbers.
        count: Number of numbers.
        start: Byte at which they begin.
    """

    file: BinaryIO
    path: BinaryFile
    dtype: np.dtype[np.integer[Any]]
    count: int
    start: int = 0

    def read(self, first: int, count: int) -> Numbers:
        """Numbers ``[count]`` from one of them on.

        Raises:
            DataError: The file was cut short.
        """
        self.file.seek(self.start + first * self.dtype.itemsize)
        return np.frombuffer(read_exactly(self.file, count * self.dtype.itemsize, self.path), self.dtype)
