"""Numbers are read where they are asked for, from a file here or at an address, and a file that was cut is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.corpus.file_lines import File
from pytest_kdmem.corpus.number_files import BinaryFile, NumberFile, is_there, open_numbers, read_exactly, size_of
from pytest_kdmem.errors import DataError

DTYPES = ("<u2", ">u2", "<i4", "<i8")


class Dripping(io.RawIOBase):
    """A file that gives a few bytes at a time, as a connection may."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 3))


def files_at(path: Path) -> tuple[BinaryFile, BinaryFile]:
    """The same file as one of this machine, and as one of a file system."""
    return path, File(LocalFileSystem(), str(path), path.name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("start", [0, 5])
def test_numbers_are_those_of_the_whole_file_wherever_it_is(tmp_path: Path, dtype: str, start: int) -> None:
    numbers = np.arange(200, dtype=dtype)
    path = tmp_path / "ids.bin"
    path.write_bytes(b"x" * start + numbers.tobytes())
    for file in files_at(path):
        assert is_there(file)
        assert size_of(file) == start + numbers.nbytes
        with open_numbers(file) as opened:
            numbers_file = NumberFile(opened, file, np.dtype(dtype), len(numbers), start)
            for first, count in ((150, 50), (0, 3), (7, 0), (0, 200)):  # at any place, backwards, too
                read = numbers_file.read(first, count)
                assert read.dtype == np.dtype(dtype)
                np.testing.assert_array_equal(read, numbers[first : first + count])


def test_a_file_that_is_cut_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.bin"
    path.write_bytes(bytes(40))
    with open_numbers(path) as opened:
        numbers_file = NumberFile(opened, path, np.dtype("<i4"), 10)
        assert len(numbers_file.read(0, 10)) == 10
        with path.open("r+b") as file:
            file.truncate(39)
        with pytest.raises(DataError, match=r"40 more bytes were expected in .*ids\.bin, which was cut short while"):
            numbers_file.read(0, 10)


@given(content=st.binary(max_size=40), size=st.integers(0, 50))
def test_bytes_that_come_in_parts_are_put_together(content: bytes, size: int) -> None:
    file, path = Dripping(content), Path("ids.bin")
    if size > len(content):
        with pytest.raises(DataError, match=f"{size} more bytes were expected"):
            read_exactly(file, size, path)  # type: ignore[arg-type]
    else:
        assert read_exactly(file, size, path) == content[:size]  # type: ignore[arg-type]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert [is_there(file) for file in files_at(tmp_path)] == [False, False]
