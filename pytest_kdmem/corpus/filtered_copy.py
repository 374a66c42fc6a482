"""Copies a source without some of its documents, in its own format and in memory that does not grow with its size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.corpus.arrays import array_chunks, array_header
from pytest_kdmem.corpus.arrow_files import open_arrow
from pytest_kdmem.corpus.file_lines import UNREADABLE, first_line
from pytest_kdmem.corpus.formats import ROWS_AT_ONCE
from pytest_kdmem.corpus.line_copies import copy_lines
from pytest_kdmem.corpus.presets import find_preset
from pytest_kdmem.corpus.sources import check_source, file_ending
from pytest_kdmem.corpus.token_file_copies import copy_token_file
from pytest_kdmem.corpus.token_files import is_token_file, is_token_folder
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

# Sizes of the row groups of a parquet file: small enough for memory, large enough to compress well.
ROWS_PER_GROUP = 1 << 16
BYTES_PER_GROUP = 64 << 20
# The name that pyarrow gives to no compression in the metadata of a parquet file.
UNCOMPRESSED = "UNCOMPRESSED"

# Copies a source to a target, with the documents that the flags keep; returns the number of documents in the source.
Copy = Callable[[Path, Path, Flags], int]


def check_copyable(training_set: TrainingSet) -> None:
    """Raise SpecError if documents of a source cannot be left out, or if it is not on this machine."""
    check_source(training_set)
    source = training_set.source
    if training_set.form == "blocks":
        raise SpecError(
            f"Examples that are documents were expected of {source}, and blocks hold parts of several: clean the"
            " documents (form documents), and join what is left into blocks."
        )
    if training_set.order is not None:
        raise SpecError(
            f"Examples that are documents were expected of {source}, and samples of a training hold parts of several:"
            " clean the documents (drop order), and let training cut them into samples anew."
        )
    if training_set.documents != "lines" or training_set.minimum_tokens or training_set.sample is not None:
        raise SpecError(
            f"A training set that takes every line or row of {source} was expected, so that each can be left out or"
            " kept; drop documents=, minimum_tokens= and sample=."
        )
    if is_token_folder(local_path(source)):
        raise SpecError(
            f"One .bin file was expected to leave documents out of, and {source} is a folder of several; clean each of"
            " them by itself, or join them into one file."
        )
    if not exists(local_path(source)) or find_preset(source) is not None:
        raise SpecError(
            f"A file or folder on this machine was expected to be copied without some of its documents; found {source}:"
            " save it here first (datasets' save_to_disk, or a copy of its files)."
        )


def copy_documents(training_set: TrainingSet, folder: Path, kept: Flags) -> Path:
    """Copy a source into a folder under its own name, without some of its documents.

    Lines and rows stay as they are, in their order; a compressed file is compressed again.

    Args:
        training_set: The training set whose source is copied.
        folder: The folder to write to.
        kept: Bool ``[n]``: which of its n documents to keep.

    Returns:
        The path of the copy.

    Raises:
        DataError: The source cannot be read, the copy cannot be written, or there are not n documents.
        SpecError: Documents of this source cannot be left out.
    """
    check_copyable(training_set)
    # A link keeps its name, and with it its ending and the parts that lie beside it.
    source = local_path(training_set.source).absolute()
    if source.name == "..":
        source = source.resolve()
    target = folder / source.name
    try:
        if is_token_file(training_set):
            documents = copy_token_file(source, target, kept, training_set)
        elif source.is_dir():
            documents = _saved_by_datasets(source, target, kept, training_set.split)
        else:
            documents = _COPIES[file_ending(source) or ""](source, target, kept)
    except UNREADABLE as error:
        raise DataError(f"{source} was to be copied to {target}, which failed ({first_line(error)}).") from None
    if documents != len(kept):
        raise DataError(
            f"{len(kept)} documents were expected in {source}, and it holds {documents} now: it was changed meanwhile;"
            " run it again."
        )
    return target


def _parquet(source: Path, target: Path, kept: Flags) -> int:
    with pq.ParquetFile(source) as content:
        metadata = content.metadata
        groups = [metadata.row_group(at) for at in range(min(1, metadata.num_row_groups))]
        codecs = [group.column(0).compression for group in groups if group.num_columns]
        codec = codecs[0] if codecs and codecs[0] != UNCOMPRESSED else "NONE"
        with pq.ParquetWriter(target, content.schema_arrow, compression=codec) as writer:
            group: list[pa.RecordBatch] = []
            number = rows = size_bytes = 0
            for batch in content.iter_batches(ROWS_AT_ONCE):
                group.append(_kept_rows(batch, kept, number))
                number += len(batch)
                rows += len(group[-1])
                size_bytes += group[-1].nbytes
                if rows >= ROWS_PER_GROUP or size_bytes >= BYTES_PER_GROUP:
                    writer.write_table(pa.Table.from_batches(group, content.schema_arrow))
                    group, rows, size_bytes = [], 0, 0
            writer.write_table(pa.Table.from_batches(group, content.schema_arrow))
    return number


def _arrow(source: Path, target: Path, kept: Flags) -> int:
    number = 0
    with (
        open_arrow(source) as content,
        pa.OSFile(str(target), "wb") as sink,
        content.open_writer(sink, content.schema) as writer,
    ):
        for batch in content.batches:
            batch.validate(full=True)  # arrow follows offsets wherever they point
            writer.write_batch(_kept_rows(batch, kept, number))
            number += len(batch)
    return number


def _kept_rows(batch: pa.RecordBatch, kept: Flags, start: int) -> pa.RecordBatch:
    """The kept rows of a batch whose first row is document ``start``; rows beyond ``kept`` are left out."""
    flags = np.zeros(len(batch), dtype=bool)
    batch_flags = kept[start : start + len(batch)]
    flags[: len(batch_flags)] = batch_flags
    return batch.filter(pa.array(flags))


def _npy(source: Path, target: Path, kept: Flags) -> int:
    with source.open("rb") as content, target.open("wb") as sink:
        header = array_header(content, source)
        if header.examples == len(kept):
            shape, kind = (int(kept.sum()), header.tokens), np.lib.format.dtype_to_descr(header.dtype)
            described = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(sink, described)
            for first, rows in array_chunks(content, header, source):
                sink.write(rows[kept[first : first + len(rows)]].tobytes())
    return header.examples


def _saved_by_datasets(source: Path, target: Path, kept: Flags, split: str) -> int:
    from datasets import DatasetDict, load_from_disk
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shows_bars = not are_progress_bars_disabled()
    data = load_from_disk(str(source))
    chosen = data[split] if isinstance(data, DatasetDict) else data
    if len(chosen) == len(kept):
        remaining = chosen.select(np.flatnonzero(kept))
        disable_progress_bars()
        try:
            filtered = DatasetDict({**data, split: remaining}) if isinstance(data, DatasetDict) else remaining
            filtered.save_to_disk(str(target))
        finally:
            if shows_bars:
                enable_progress_bars()
    return len(chosen)


_COPIES: dict[str, Copy] = {
    **dict.fromkeys((".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt"), copy_lines),
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".npy": _npy,
}
