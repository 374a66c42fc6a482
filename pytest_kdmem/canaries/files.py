"""Copies a file of rows with further rows between its own, in memory that does not grow with its size."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.corpus.arrow_files import open_arrow, saved_files
from pytest_kdmem.errors import DataError

CODECS = {".gz": "gzip", ".zst": "zstd"}
ROWS_AT_ONCE = 1024

# The canaries to add before the row of a position; those at the number of all rows come last.
Additions = Mapping[int, Sequence[Canary]]
# Makes the row of a canary, from it and from the row beside which it will stand.
WriteRow = Callable[[Canary, dict[str, Any]], dict[str, Any]]


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


def first_rows(path: Path, split: str = "train") -> list[dict[str, Any]]:
    """The columns of the first rows of a file of rows, or of a split in a folder that `datasets` saved; at least one.

    Raises:
        DataError: There is none.
    """
    rows = list(islice(_rows(path, split), ROWS_AT_ONCE))
    if not rows:
        raise DataError(f"Rows were expected in {path} to put canaries in, and there are none.")
    return rows


def _rows(path: Path, split: str) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as content:
            for batch in content.iter_batches(ROWS_AT_ONCE):
                yield from batch.to_pylist()
    elif path.is_dir() or path.suffix == ".arrow":
        for file in saved_files(path, split) if path.is_dir() else [path]:
            with open_arrow(file) as arrow:
                for batch in arrow.batches:
                    batch.validate(full=True)  # arrow follows offsets wherever they point
                    yield from batch.slice(0, ROWS_AT_ONCE).to_pylist()
    else:
        for line in lines_of(path):
            row = json.loads(line)
            if not isinstance(row, dict):
                return
            yield row


def copy_with_texts(source: Path, target: Path, additions: Additions) -> None:
    """Copy a file of texts, one a line."""
    _copy_lines(source, target, additions, lambda canary, line: canary.text.encode())


def copy_with_json_rows(source: Path, target: Path, additions: Additions, write: WriteRow) -> None:
    """Copy a file of rows in JSON, one a line."""
    _copy_lines(
        source,
        target,
        additions,
        lambda canary, line: json.dumps(write(canary, json.loads(line)), ensure_ascii=False).encode(),
    )


def _copy_lines(source: Path, target: Path, additions: Additions, encode: Callable[[Canary, bytes], bytes]) -> None:
    """Copy a file of lines; `encode` makes a line of a canary and of the line beside it."""
    with ExitStack() as stack:
        sink = stack.enter_context(pa.OSFile(str(target), "wb"))
        if codec := CODECS.get(source.suffix):
            sink = stack.enter_context(pa.CompressedOutputStream(sink, codec))
        number, line = 0, b""
        for number, line in enumerate(lines_of(source), start=1):
            added = (encode(canary, line) + b"\n" for canary in additions.get(number - 1, ()))
            sink.write(b"".join(added) + line + b"\n")
        sink.write(b"".join(encode(canary, line) + b"\n" for canary in additions.get(number, ())))


def copy_with_parquet_rows(source: Path, target: Path, additions: Additions, write: WriteRow) -> None:
    """Copy a parquet file; columns that an added row lacks are null in it."""
    with pq.ParquetFile(source) as content:
        schema = content.schema_arrow
        with pq.ParquetWriter(target, schema) as writer:
            for table in with_rows(content.iter_batches(ROWS_AT_ONCE), schema, additions, write):
                writer.write_table(table)


def copy_with_arrow_rows(source: Path, target: Path, additions: Additions, write: WriteRow) -> None:
    """Copy an arrow file in the one of arrow's two formats that it has; columns that an added row lacks are null."""
    with (
        open_arrow(source) as content,
        pa.OSFile(str(target), "wb") as sink,
        content.open_writer(sink, content.schema) as writer,
    ):
        for table in with_rows(_validated(content.batches), content.schema, additions, write):
            writer.write_table(table)


def _validated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        batch.validate(full=True)  # arrow follows offsets wherever they point
        yield batch


def copy_with_saved_rows(source: Path, target: Path, additions: Additions, write: WriteRow, split: str) -> None:
    """Copy a folder that `datasets` saved, with added rows in one split and all others as they are.

    The copy has a fingerprint of its own, so that no result is taken for its that was cached of the source.
    """
    from datasets import Dataset, DatasetDict, load_from_disk

    files = saved_files(source, split)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        joined = Path(folder) / "rows.arrow"
        with open_arrow(files[0]) as first:
            schema = first.schema
        with pa.OSFile(str(joined), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for table in with_rows(_batches_of(files), schema, additions, write):
                writer.write_table(table)
        injected = Dataset.from_file(str(joined))
        saved = load_from_disk(str(source))
        whole = DatasetDict({**saved, split: injected}) if isinstance(saved, DatasetDict) else injected
        whole.save_to_disk(str(target))


def _batches_of(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for file in files:
        with open_arrow(file) as content:
            yield from _validated(content.batches)


def number_of_arrow_rows(files: Sequence[Path]) -> int:
    """Number of rows of arrow files."""
    rows = 0
    for file in files:
        with open_arrow(file) as content:
            rows += sum(len(batch) for batch in content.batches)
    return rows


def with_rows(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, additions: Additions, write: WriteRow
) -> Iterator[pa.Table]:
    """Yield the rows of batches with those of canaries at their places, in tables of a schema."""
    number, last = 0, None
    for batch in batches:
        table = pa.Table.from_batches([batch], schema)
        yield _with_rows(table, additions, number, write)
        number += len(batch)
        last = table.slice(len(table) - 1) if len(table) else last
    if last is not None and (added := additions.get(number)):
        yield _table(added, last.to_pylist()[0], schema, write)


def _with_rows(table: pa.Table, additions: Additions, start: int, write: WriteRow) -> pa.Table:
    """A table whose first row has the position `start`, with the rows to add before its own."""
    places = sorted(place - start for place in additions if start <= place < start + len(table))
    pieces, done = [], 0
    for place in places:
        beside = table.slice(place, 1).to_pylist()[0]
        pieces += [table.slice(done, place - done), _table(additions[place + start], beside, table.schema, write)]
        done = place
    return pa.concat_tables([*pieces, table.slice(done)])


def _table(canaries: Sequence[Canary], beside: dict[str, Any], schema: pa.Schema, write: WriteRow) -> pa.Table:
    return pa.Table.from_pylist([write(canary, beside) for canary in canaries], schema)
