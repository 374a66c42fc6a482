"""One file's documents come in order, and can be read in another process."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.corpus.file_lines import File
from pytest_kdmem.corpus.formats import find_ending, read_columns, read_file
from pytest_kdmem.corpus.row_reader import DeclaredColumns, RowReader
from pytest_kdmem.errors import DataError


def file(path: Path) -> File:
    return File(LocalFileSystem(), str(path), path.name)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.jsonl", ".jsonl"),
        ("a.jsonl.gz", ".jsonl.gz"),
        ("b/c.parquet", ".parquet"),
        ("a.json", None),
        ("jsonl", None),
    ],
)
def test_a_format_is_told_by_the_ending(name, ending):
    assert find_ending(name) == ending


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=20), max_size=8))
def test_lines_of_json_come_back_as_they_were_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    assert list(read_file(file(path), DeclaredColumns())) == texts


def test_blank_lines_are_no_documents_unless_they_are_asked_for(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n\ntwo")
    assert list(read_file(file(tmp_path / "a.txt"), DeclaredColumns())) == ["one", "two"]
    assert list(read_file(file(tmp_path / "a.txt"), DeclaredColumns(), keep_blank=True)) == ["one", "", "", "two"]


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path):
    text = "ä" * 1_500_000
    (tmp_path / "a.txt").write_text(f"{text}\nlast", encoding="utf-8")
    assert list(read_file(file(tmp_path / "a.txt"), DeclaredColumns())) == [text, "last"]


def test_a_reader_can_be_sent_to_another_process(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo")
    reader = pickle.loads(pickle.dumps(partial(read_file, file(tmp_path / "a.txt"), "text")))
    assert list(reader()) == ["one", "two"]


def test_rows_are_numbered_over_batches():
    batches = [pa.record_batch({"text": values}) for values in (["a", "b"], ["c", None])]
    documents = read_columns(iter(batches), RowReader(("text",)), "a.arrow")
    assert [next(documents) for _ in range(3)] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"row 3 of a\.arrow; found NoneType"):
        next(documents)


def test_columns_of_the_same_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"One column 'text' was expected in .*twice\.parquet, and there are 2"):
        list(read_file(file(tmp_path / "twice.parquet"), DeclaredColumns()))


@pytest.mark.parametrize("line", ['{"text": "a", "text": "b"}', '{"text": "a", "meta": {"id": 1, "id": 2}}'])
def test_a_key_that_an_object_has_twice_is_refused(tmp_path, line):
    (tmp_path / "twice.jsonl").write_text(f'{{"text": "first"}}\n{line}\n')
    with pytest.raises(DataError, match=r"Each key was expected once in the object in line 2 of .*twice\.jsonl"):
        list(read_file(file(tmp_path / "twice.jsonl"), DeclaredColumns()))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int8()), pa.list_(pa.uint16()), pa.large_list(pa.int32()), pa.list_(pa.int64()),
        pa.large_list(pa.uint64()), pa.list_(pa.int32(), 3),
    ],
    ids=str,
)  # fmt: skip
def test_lists_of_any_whole_numbers_are_token_ids_and_labels(kind):
    rows = (
        [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 2]] if pa.types.is_fixed_size_list(kind) else [[1], [], [2, 3, 4], [9]]
    )
    table = pa.table({"input_ids": pa.array(rows, kind), "attention_mask": [[1] * len(row) for row in rows]})
    for start, stop in ((0, 4), (1, 3), (2, 2)):
        batches = table.slice(start, stop - start).to_batches()
        read = list(read_columns(iter(batches), RowReader(("input_ids", "attention_mask")), "a.parquet"))
        assert [row.ids.tolist() for row in read] == rows[start:stop]
        assert all(row.ids.dtype == np.int32 for row in read)


@pytest.mark.parametrize("rows", [[[1, None]], [None], [[-1]]], ids=str)
def test_a_list_with_a_gap_holds_no_token_ids(rows):
    [batch] = pa.table({"input_ids": pa.array(rows, pa.list_(pa.int32()))}).to_batches()
    with pytest.raises(DataError, match="oken ids"):
        list(read_columns(iter([batch]), RowReader(("input_ids",)), "a.parquet"))
