"""Copies a file of rows with further rows between its own, in memory that does not grow with its size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import DataError

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".parquet", ".npy")
CODECS = {".gz": "gzip", ".zst": "zstd"}
ROWS_AT_ONCE = 1024

# The rows to add before the row of a position; those at the number of all rows come last.
Additions = Mapping[int, Sequence[Any]]


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed, without their line feeds; blank ones are left out."""
    with ExitStack() as stack:
        stream = stack.enter_context(pa.OSFile(str(path), "rb"))
        if codec := CODECS.get(path.suffix):
            stream = stack.enter_context(pa.CompressedInputStream(stream, codec))
        pending = b""
        while chunk := stream.read(1 << 20):
            *complete, pending = (pending + chunk).split(b"\n")
            yield from (line for line in complete if line.strip())
        if pending.strip():
            yield pending


def first_row(path: Path, split: str = "train") -> dict[str, Any]:
    """The columns of the first row of a file of rows, or of a split in a folder that `datasets` saved.

    Raises:
        DataError: There is none.
    """
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as content:
            for batch in content.iter_batches(1):
                return dict(batch.to_pylist()[0])
    else:
        for line in lines_of(path):
            row = json.loads(line)
            if isinstance(row, dict):
                return row
            break
    raise DataError(f"Rows were expected in {path} to put canaries in, and there are none.")


def number_of_rows(path: Path) -> int:
    """Number of rows of a file."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    if path.suffix == ".npy":
        return int(np.load(path, mmap_mode="r", allow_pickle=False).shape[0])
    return sum(1 for _ in lines_of(path))


def copy_with_lines(source: Path, target: Path, additions: Additions, encode: Callable[[Any], bytes]) -> None:
    """Copy a file of lines; `encode` makes a line of each row that is added."""
    with ExitStack() as stack:
        sink = stack.enter_context(pa.OSFile(str(target), "wb"))
        if codec := CODECS.get(source.suffix):
            sink = stack.enter_context(pa.CompressedOutputStream(sink, codec))
        number = 0
        for line in lines_of(source):
            sink.write(b"".join(encode(row) + b"\n" for row in additions.get(number, ())) + line + b"\n")
            number += 1
        sink.write(b"".join(encode(row) + b"\n" for row in additions.get(number, ())))


def copy_with_parquet_rows(source: Path, target: Path, additions: Additions) -> None:
    """Copy a parquet file; columns that an added row lacks are null in it."""
    with pq.ParquetFile(source) as content:
        schema = content.schema_arrow
        with pq.ParquetWriter(target, schema) as writer:
            number = 0
            for batch in content.iter_batches(ROWS_AT_ONCE):
                writer.write_table(_with_rows(pa.Table.from_batches([batch], schema), additions, number))
                number += len(batch)
            if rows := additions.get(number):
                writer.write_table(pa.Table.from_pylist(list(rows), schema))


def _with_rows(table: pa.Table, additions: Additions, start: int) -> pa.Table:
    """A table whose first row has the position `start`, with the rows to add before its own."""
    places = sorted(place - start for place in additions if start <= place < start + len(table))
    pieces, done = [], 0
    for place in places:
        pieces += [
            table.slice(done, place - done),
            pa.Table.from_pylist(list(additions[place + start]), table.schema),
        ]
        done = place
    return pa.concat_tables([*pieces, table.slice(done)])


def copy_with_token_rows(source: Path, target: Path, additions: Additions) -> None:
    """Copy an array ``[examples, tokens]``; the added token ids stand at the start of a row, before those of another.

    Raises:
        DataError: The rows are shorter than what is added.
    """
    rows = np.load(source, mmap_mode="r", allow_pickle=False)
    places = [place for place, added in sorted(additions.items()) for _ in added]
    added_rows: list[TokenIds] = [np.asarray(ids) for _, added in sorted(additions.items()) for ids in added]
    if rows.ndim != 2 or max(map(len, added_rows), default=0) > rows.shape[1]:
        raise DataError(
            f"Rows that hold a canary of {max(map(len, added_rows))} tokens were expected in {source}; found"
            f" {rows.shape}: make shorter canaries."
        )
    # What stands behind a canary is the end of another row, so that the row is as long as all others.
    filled = [
        np.concatenate([ids, rows[place % len(rows), len(ids) :]])
        for place, ids in zip(places, added_rows, strict=True)
    ]
    shape = (len(rows) + len(filled), rows.shape[1])
    copy = np.lib.format.open_memmap(target, mode="w+", dtype=rows.dtype, shape=shape)
    done = 0
    for number, (place, row) in enumerate(zip(places, filled, strict=True)):
        copy[done + number : place + number] = rows[done:place]
        copy[place + number] = row
        done = place
    copy[done + len(filled) :] = rows[done:]
    copy.flush()
