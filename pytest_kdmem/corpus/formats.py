"""Reads the documents of one file of lines or rows, on a disk or in an object store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.file_lines import UNREADABLE, File, first_line, lines_of
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.row_reader import DeclaredColumns, RowReader, missing_group, row_reader
from pytest_kdmem.errors import DataError

STREAMED = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".parquet")
ROWS_AT_ONCE = 1024

# Reads some of a source's documents, in order; it can be pickled and called in another process.
DocumentReader = Callable[[], Iterator[Document]]


def find_ending(name: str, endings: tuple[str, ...] = STREAMED) -> str | None:
    """The ending of a name, or None if it has none of those."""
    return next((ending for ending in endings if name.endswith(ending)), None)


def read_file(
    file: File, declared: DeclaredColumns, *, keep_blank: bool = False, meter: ReadMeter | None = None
) -> Iterator[Document]:
    """Documents of a file in their order; a few rows are in memory at a time.

    Args:
        file: A file whose name has one of the endings `STREAMED`.
        declared: The columns that the training set declares.
        keep_blank: Also give the blank lines of a .txt file.
        meter: Receives the share of the file that is read.

    Raises:
        DataError: The file cannot be read, or its content is not of its format (names the line or row).
    """
    match find_ending(file.name):
        case ".parquet":
            return _parquet(file, declared, meter)
        case ".txt":
            return (text for _, text in lines_of(file, meter) if text or keep_blank)
        case _:
            return _jsonl(file, declared, meter)


def read_columns(batches: Iterator[pa.RecordBatch], reader: RowReader, name: str) -> Iterator[Document]:
    """The documents in record batches of the reader's columns; ``name`` is the file that messages name."""
    columns = reader.columns
    row = 0
    for batch in batches:
        try:
            batch.validate(full=True)  # arrow follows the offsets of a damaged file wherever they point
        except pa.ArrowException as error:
            raise DataError(
                f"Intact values were expected in rows {row} to {row + len(batch) - 1} of {name} ({first_line(error)})."
            ) from None
        values = [_to_values(batch.column(column)) for column in columns]
        for entries in zip(*values, strict=True):
            yield reader.document(dict(zip(columns, entries, strict=True)), f"row {row} of {name}")
            row += 1


def first_object(file: File) -> dict[str, Any] | None:
    """The first object of a file of JSON lines; None if there is none that can be read.

    Raises:
        DataError: The file cannot be read.
    """
    line = next((line for _, line in lines_of(file) if line.strip()), "")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _to_values(column: pa.Array) -> list[Any]:
    """The values of a column; lists of whole numbers, as token ids are, become arrays without a Python number each."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list and pa.types.is_integer(kind.value_type) and not column.null_count:
        numbers = column.flatten()
        if not numbers.null_count:
            ends = np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False))
            return np.split(numbers.to_numpy(zero_copy_only=False), ends[:-1]) if len(column) else []
    values: list[Any] = column.to_pylist()
    return values


def _jsonl(file: File, declared: DeclaredColumns, meter: ReadMeter | None) -> Iterator[Document]:
    first_keys: list[str] = []
    has_group = False
    for number, line in lines_of(file, meter):
        if not line.strip():
            continue
        where = f"line {number} of {file.name}"
        try:
            row = json.loads(line, object_pairs_hook=_unique_keys)
        except RepeatedKey:
            raise DataError(
                f"Each key was expected once in the object in {where}, and one is repeated; keep the value that was"
                " trained on."
            ) from None
        except (ValueError, RecursionError):
            raise DataError(f"A JSON object was expected in {where}, which is malformed; mend or drop it.") from None
        if not isinstance(row, dict):
            raise DataError(f"A JSON object was expected in {where}; found a {type(row).__name__}.")
        if declared.group is not None:
            first_keys, has_group = first_keys or list(row), has_group or declared.group in row
            row.setdefault(declared.group, None)  # a line may lack its group, which is no mistake
        yield row_reader(list(row), declared, where).document(row, where)
    if declared.group is not None and first_keys and not has_group:  # as of a file whose schema has no such column
        raise missing_group(declared.group, first_keys, file.name)


class RepeatedKey(Exception):
    """A JSON object has a key twice; which value a reader takes is not defined."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise RepeatedKey
    return row


def _parquet(file: File, declared: DeclaredColumns, meter: ReadMeter | None) -> Iterator[Document]:
    try:
        with pq.ParquetFile(file.path, filesystem=file.filesystem) as content:
            reader = row_reader(content.schema_arrow.names, declared, file.name)
            batches = content.iter_batches(ROWS_AT_ONCE, columns=list(reader.columns))
            rows = read_columns(batches, reader, file.name)
            yield from rows if meter is None else meter.counted(rows, content.metadata.num_rows)
    except UNREADABLE as error:
        raise DataError(
            f"A parquet file was expected at {file.name}, and it cannot be read ({first_line(error)})."
        ) from None
