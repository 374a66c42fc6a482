"""Rows of .npy files are read a few at a time, and whatever a header says is checked before it is believed."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus import arrays
from pytest_kdmem.corpus.arrays import number_of_rows, read_rows
from pytest_kdmem.errors import DataError

ROWS = np.arange(60, dtype=np.int32).reshape(12, 5)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def header(path: Path, text: str, body: bytes = b"") -> Path:
    """A file of version 1.0 with this text as its header."""
    encoded = text.encode("latin1")
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + body)
    return path


@pytest.mark.parametrize("array", [ROWS, np.asfortranarray(ROWS), ROWS.astype(">i8"), ROWS.astype("u1")], ids=range(4))
def test_rows_come_in_order_whatever_their_layout(tmp_path, monkeypatch, array):
    monkeypatch.setattr(arrays, "BYTES_AT_ONCE", 70)
    path = saved(tmp_path / "a.npy", array)
    assert [row.tolist() for row in read_rows(path)] == ROWS.tolist()
    assert number_of_rows(path) == len(ROWS)


def test_an_array_without_rows_has_none(tmp_path):
    assert list(read_rows(saved(tmp_path / "a.npy", ROWS[:0]))) == []


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2)",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 'a')}\n",
        "{'descr': '<i4'}\n",
        "(" * 5000,
        "'\\\n",
        "\0",
        "{'descr': 'O', 'fortran_order': False, 'shape': (1, 1)}\n",
        "__import__('os').system('true')\n",
    ],
    ids=range(8),
)
def test_a_header_that_is_none_is_refused_in_one_sentence(tmp_path, text):
    with pytest.raises(DataError, match=r"no plain \.npy file"):
        list(read_rows(header(tmp_path / "a.npy", text)))


@pytest.mark.parametrize("shape", ["(10**18, 10**18)", "(1, 3)", "(4611686018427387904, 4)"])
def test_a_header_that_promises_more_than_there_is_is_refused_before_memory_is_asked_for(tmp_path, shape):
    shape = shape.replace("10**18", str(10**18))
    path = header(tmp_path / "a.npy", f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}}}\n", b"1234")
    with pytest.raises(DataError, match="cut short"):
        list(read_rows(path))


@pytest.mark.parametrize("shape", ["(1000000000000, 0)", "(-1, 2)", "(2,)", "()"])
def test_a_shape_that_holds_no_examples_is_refused(tmp_path, shape):
    path = header(tmp_path / "a.npy", f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}}}\n")
    with pytest.raises(DataError, match=r"shape \[examples, tokens\] were expected"):
        list(read_rows(path))


def test_a_stream_is_told_how_it_is_read(tmp_path):
    path = saved(tmp_path / "a.npy", np.ones(9, dtype=np.uint16))
    with pytest.raises(DataError, match=r"of shape \[9\]: write a stream as a flat \.bin file \(array\.tofile"):
        list(read_rows(path))


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BYTES_AT_ONCE", 20)
    path = saved(tmp_path / "a.npy", np.ones((4000, 5), dtype=np.int32))
    rows = read_rows(path)
    next(rows)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DataError, match="cut short while it was read"):
        list(rows)


def test_an_archive_is_no_array(tmp_path):
    sink = io.BytesIO()
    np.savez(sink, a=ROWS)
    (tmp_path / "a.npy").write_bytes(sink.getvalue())
    with pytest.raises(DataError, match=r"no plain \.npy file"):
        list(read_rows(tmp_path / "a.npy"))


def test_an_array_by_columns_is_read_a_few_rows_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BYTES_AT_ONCE", 1 << 12)
    path = saved(tmp_path / "a.npy", np.asfortranarray(np.arange(60_000).reshape(3000, 20)))
    tracemalloc.start()
    assert [row[0] for row in read_rows(path)] == list(range(0, 60_000, 20))
    assert tracemalloc.get_traced_memory()[1] < 300_000
    tracemalloc.stop()
