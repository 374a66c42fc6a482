"""A source of documents → a copy of it without some of them, in its own format; memory does not grow with its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.formats import ROWS_AT_ONCE, UNREADABLE, first_line
from pytest_kdmem.corpus.presets import preset_of
from pytest_kdmem.corpus.sources import check_source, ending
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

BYTES_AT_ONCE = 1 << 20
# Rows of a parquet file's groups: few enough to be held, enough to be compressed together.
ROWS_PER_GROUP = 1 << 16
BYTES_PER_GROUP = 64 << 20
CODECS = {".gz": "gzip", ".zst": "zstd"}
# pyarrow's names of codecs, as a parquet file's own metadata has them.
UNCOMPRESSED = "UNCOMPRESSED"

Copy = Callable[[Path, Path, Flags], int]


def check_copyable(training_set: TrainingSet) -> None:
    """Raise SpecError for a source of which no document can be left out, or that lies elsewhere."""
    check_source(training_set)
    source = training_set.source
    if training_set.form == "blocks":
        raise SpecError(
            f"Examples that are documents were expected of {source}, and blocks hold parts of several: clean the"
            " documents (form documents), and join what is left into blocks."
        )
    if training_set.documents != "lines" or training_set.minimum_tokens or training_set.sample is not None:
        raise SpecError(
            f"A training set that takes every line or row of {source} was expected, so that each can be left out or"
            " kept; drop documents=, minimum_tokens= and sample=."
        )
    if not Path(source).expanduser().exists() or preset_of(source) is not None:
        raise SpecError(
            f"A file or folder on this machine was expected to be copied without some of its documents; found {source}:"
            " save it here first (datasets' save_to_disk, or a copy of its files)."
        )


def copy_documents(training_set: TrainingSet, folder: Path, kept: Flags) -> Path:
    """Copy a source into a folder under its own name, with those of its n documents that ``kept`` ``[n]`` tells.

    Lines and rows come out as they were, in their order; a compressed file is compressed anew.

    Raises:
        DataError: it cannot be read or written, or does not hold n documents.
        SpecError: it cannot be copied so.
    """
    check_copyable(training_set)
    source = Path(training_set.source).expanduser().resolve()
    target = folder / source.name
    try:
        if source.is_dir():
            documents = _saved_by_datasets(source, target, kept, training_set.split)
        else:
            documents = _COPIES[ending(source) or ""](source, target, kept)
    except UNREADABLE as error:
        raise DataError(f"{source} was to be copied to {target}, which failed ({first_line(error)}).") from None
    if documents != len(kept):
        raise DataError(
            f"{len(kept)} documents were expected in {source}, and it holds {documents} now: it was changed meanwhile;"
            " run it again."
        )
    return target


def _lines(source: Path, target: Path, kept: Flags) -> int:
    """Lines are cut where they are read, at line feeds; a blank one is no document, and stays."""
    codec = CODECS.get(source.suffix)
    is_blank = _is_blank_text if source.suffix == ".txt" else _is_blank_row
    number = 0
    with ExitStack() as stack:
        stream = stack.enter_context(pa.OSFile(str(source), "rb"))
        sink = stack.enter_context(pa.OSFile(str(target), "wb"))
        if codec:
            stream = stack.enter_context(pa.CompressedInputStream(stream, codec))
            sink = stack.enter_context(pa.CompressedOutputStream(sink, codec))
        out = _Gathered(sink.write)
        for line in _split(stream):
            if is_blank(line):
                out.add(line)
                continue
            if number < len(kept) and kept[number]:
                out.add(line)
            number += 1
        out.flush()
    return number


def _is_blank_text(line: bytes) -> bool:
    return not line.rstrip(b"\r\n")


def _is_blank_row(line: bytes) -> bool:
    return not line.decode("utf-8", "replace").strip()


class _Gathered:
    """Lines, written many at a time."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write
        self._held: list[bytes] = []
        self._bytes = 0

    def add(self, line: bytes) -> None:
        self._held.append(line)
        self._bytes += len(line)
        if self._bytes >= BYTES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        self._write(b"".join(self._held))
        self._held, self._bytes = [], 0


def _split(stream: Any) -> Iterator[bytes]:
    """Lines with their line feeds."""
    pending: list[bytes] = []
    while chunk := stream.read(BYTES_AT_ONCE):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*pending, line, b"\n"])
            pending = []
        pending.append(rest)
    if last := b"".join(pending):
        yield last


def _parquet(source: Path, target: Path, kept: Flags) -> int:
    with pq.ParquetFile(source) as content:
        metadata = content.metadata
        groups = [metadata.row_group(at) for at in range(min(1, metadata.num_row_groups))]
        codecs = [group.column(0).compression for group in groups if group.num_columns]
        codec = codecs[0] if codecs and codecs[0] != UNCOMPRESSED else "NONE"
        with pq.ParquetWriter(target, content.schema_arrow, compression=codec) as writer:
            held: list[pa.RecordBatch] = []
            number = rows = held_bytes = 0
            for batch in content.iter_batches(ROWS_AT_ONCE):
                held.append(_of_batch(batch, kept, number))
                number += len(batch)
                rows += len(held[-1])
                held_bytes += held[-1].nbytes
                if rows >= ROWS_PER_GROUP or held_bytes >= BYTES_PER_GROUP:
                    writer.write_table(pa.Table.from_batches(held, content.schema_arrow))
                    held, rows, held_bytes = [], 0, 0
            writer.write_table(pa.Table.from_batches(held, content.schema_arrow))
    return number


def _arrow(source: Path, target: Path, kept: Flags) -> int:
    number = 0
    with pa.memory_map(str(source)) as content:
        try:
            reader = pa.ipc.open_file(content)
            batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
            new = pa.ipc.new_file
        except pa.ArrowInvalid:  # `datasets` writes the streaming format under the same ending
            content.seek(0)
            reader = pa.ipc.open_stream(content)
            batches, new = iter(reader), pa.ipc.new_stream
        with pa.OSFile(str(target), "wb") as sink, new(sink, reader.schema) as writer:
            for batch in batches:
                writer.write_batch(_of_batch(batch, kept, number))
                number += len(batch)
    return number


def _of_batch(batch: pa.RecordBatch, kept: Flags, start: int) -> pa.RecordBatch:
    chosen = np.zeros(len(batch), dtype=bool)
    known = kept[start : start + len(batch)]
    chosen[: len(known)] = known
    return batch.filter(pa.array(chosen))


def _npy(source: Path, target: Path, kept: Flags) -> int:
    rows = np.load(source, mmap_mode="r", allow_pickle=False)
    if len(rows) == len(kept):
        shape = (int(kept.sum()), rows.shape[1])
        out = np.lib.format.open_memmap(target, mode="w+", dtype=rows.dtype, shape=shape)
        written = 0
        for start in range(0, len(rows), ROWS_AT_ONCE):
            chosen = rows[start : start + ROWS_AT_ONCE][kept[start : start + ROWS_AT_ONCE]]
            out[written : written + len(chosen)] = chosen
            written += len(chosen)
        out.flush()
    return len(rows)


def _saved_by_datasets(source: Path, target: Path, kept: Flags, split: str) -> int:
    from datasets import DatasetDict, load_from_disk
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shows_bars = not are_progress_bars_disabled()
    data = load_from_disk(str(source))
    chosen = data[split] if isinstance(data, DatasetDict) else data
    if len(chosen) == len(kept):
        left = chosen.select(np.flatnonzero(kept))
        disable_progress_bars()
        try:
            (DatasetDict({**data, split: left}) if isinstance(data, DatasetDict) else left).save_to_disk(str(target))
        finally:
            if shows_bars:
                enable_progress_bars()
    return len(chosen)


_COPIES: dict[str, Copy] = {
    **dict.fromkeys((".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt"), _lines),
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".npy": _npy,
}
