"""The columns of files of rows, each with whether it holds text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.column_names import column_names

ROW = {"id": 7, "body": "a text", "input_ids": [1, 2]}
COLUMNS = {"id": False, "body": True, "input_ids": False}


def write(path: Path) -> None:
    table, line = pa.Table.from_pylist([ROW]), json.dumps(ROW)
    match path.name.split(".", 1)[1]:
        case "parquet":
            pq.write_table(table, path)
        case "arrow":
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(f"\n{line}\n".encode()))
        case _:
            path.write_text(f"\n{line}\n" + json.dumps({"other": 1}))


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet", "arrow"])
def test_columns_are_those_of_the_schema_or_the_first_row(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    write(path)
    assert column_names(str(path)) == COLUMNS


@pytest.mark.parametrize("content", [b"", b"[1]\n", b"{not json\n", b"\xff\xfe\n"])
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet", "arrow", "txt", "npy"])
def test_of_what_has_none_or_is_damaged_nothing_is_said(tmp_path: Path, ending: str, content: bytes) -> None:
    (tmp_path / f"rows.{ending}").write_bytes(content)
    assert column_names(str(tmp_path / f"rows.{ending}")) is None


@pytest.mark.parametrize("source", ["nowhere.jsonl", "s3://bucket/rows.parquet", "owner/name", "."])
def test_what_only_reading_tells_has_none(source: str) -> None:
    assert column_names(source) is None
