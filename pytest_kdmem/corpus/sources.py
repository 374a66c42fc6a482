"""Reads a training set of any format as a stream of documents, each a text or an array of token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.corpus.columns import Document, find_column, to_document, to_token_ids
from pytest_kdmem.corpus.formats import (
    STREAMED,
    UNREADABLE,
    DocumentReader,
    File,
    find_ending,
    first_line,
    read_column,
    read_file,
)
from pytest_kdmem.corpus.hub import hub_readers
from pytest_kdmem.corpus.object_store import check_uri, is_uri, list_files, uri_readers
from pytest_kdmem.corpus.presets import HELD_OUT, PRESETS, find_preset, resolve
from pytest_kdmem.corpus.wikitext import join_articles
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.checkpoint import looks_like_hub_id
from pytest_kdmem.specs.declared import TrainingSet

ENDINGS = (*STREAMED, ".arrow", ".npy")

# Reads the documents of several readers as one stream, in their order.
Gather = Callable[[Sequence[DocumentReader]], Iterator[Document]]


class ReadDocuments(Protocol):
    """A function that reads the documents of a source in their order, as `read_documents` does."""

    def __call__(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]: ...


def check_source(training_set: TrainingSet) -> None:
    """Check a source without reading it, so that mistakes are reported before any model is loaded.

    Raises:
        DataError: The source is missing, or its format is unknown.
        SpecError: A preset has no such part.
    """
    resolve(training_set)
    if is_uri(training_set.source):
        check_uri(training_set.source)
        return
    path = Path(training_set.source).expanduser()
    if path.is_file() and file_ending(path) is None:
        raise DataError(f"A training set must end in {', '.join(ENDINGS)}; found {path}.")
    if not (path.exists() or find_preset(training_set.source) or looks_like_hub_id(training_set.source)):
        raise DataError(
            f"A training set was expected at {training_set.source}, and nothing is there; check the path"
            f" (presets by name: {', '.join(PRESETS)}; with {HELD_OUT} appended, the held-out part of each)."
        )


def read_in_order(readers: Iterable[DocumentReader]) -> Iterator[Document]:
    """The documents of readers that are called one after another."""
    return chain.from_iterable(reader() for reader in readers)


def read_documents(
    training_set: TrainingSet, *, offline: bool = False, gather: Gather = read_in_order
) -> Iterator[Document]:
    """Stream all documents of the split in the source's order, before any are selected.

    Args:
        training_set: The training set to read.
        offline: Never open a network connection.
        gather: Function that reads the files of a hub data set or an object store.

    Raises:
        DataError: A file, column or split is missing, or content is not of its format (names the line or row).
    """
    check_source(training_set)
    read, _ = resolve(training_set)
    rows = _rows(read, offline=offline, gather=gather)
    return join_articles(rows, training_set.source) if read.documents == "articles" else rows


def _rows(training_set: TrainingSet, *, offline: bool, gather: Gather) -> Iterator[Document]:
    """Lines or rows of the source."""
    if is_uri(training_set.source):
        return gather(uri_readers(training_set, offline=offline))
    path = Path(training_set.source).expanduser()
    if path.is_dir():
        return _saved_by_datasets(path, training_set)
    if not path.is_file():
        return gather(hub_readers(training_set, offline=offline))
    match file_ending(path):
        case ".npy":
            return _npy(path)
        case ".arrow":
            return _arrow(path, training_set.text_column)
        case _:
            # A blank line is no document, but marks the beginning of an article.
            keep_blank = training_set.documents == "articles"
            file = File(LocalFileSystem(), str(path), str(path))
            return read_file(file, training_set.text_column, keep_blank=keep_blank)


def fingerprint(training_set: TrainingSet) -> str | None:
    """Digest of the source's content and of how it is read; None if its content is unknown until it is streamed.

    Stored records of a corpus are looked up by it.
    """
    read, selection = resolve(training_set)
    settings: list[object] = [read.text_column, read.split, read.config, read.form]
    settings += [read.add_special_tokens, read.sample, read.seed]
    # The defaults add nothing, so that records from before these settings existed are still valid.
    settings += ["articles"] * (read.documents == "articles")
    settings += selection.rule
    if is_uri(read.source):
        # The etag of an object store is no digest of the content.
        files = [Path(file.path) for file in list_files(read.source)] if read.source.startswith("file://") else []
        digests = [[str(file_ending(file)), file_digest(file)] for file in files]
        return digest_of([digests, "in turn", *settings]) if files else None
    path = Path(read.source).expanduser()
    if path.is_file():
        return digest_of([file_ending(path), file_digest(path), *settings])
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[[str(file.relative_to(path)), file_digest(file)] for file in files], *settings])
    commit = read.revision or ""
    if len(commit) == 40 and set(commit) <= set("0123456789abcdef"):
        return digest_of([read.source, commit, *settings])
    return None


def expected_examples(training_set: TrainingSet) -> int | None:
    """The number of examples, for showing progress; None if it is not known without reading the source."""
    read, selection = resolve(training_set)
    path = Path(read.source).expanduser()
    if read.sample is not None:
        return read.sample
    if read.form != "documents":
        return None
    if selection.take is not None:
        return selection.take
    if selection.minimum_tokens or read.documents == "articles" or not path.is_file():
        return None
    try:
        match file_ending(path):
            case ".npy":
                return len(np.load(path, mmap_mode="r", allow_pickle=False))
            case ".parquet":
                return int(pq.read_metadata(path).num_rows)
            case ".jsonl" | ".txt":
                with path.open("rb") as file:
                    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError, TypeError):
        pass  # reading the source reports it in full
    return None


def file_ending(path: Path) -> str | None:
    """The ending that tells a file's format; None if it is unknown."""
    return find_ending(path.name, ENDINGS)


def _npy(path: Path) -> Iterator[Document]:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"An array of token ids was expected in {path}, which is no plain .npy file.") from error
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise DataError(
            f"Whole numbers of shape [examples, tokens] were expected in {path}; found {rows.dtype} of shape"
            f" {list(rows.shape)}."
        )
    for index, row in enumerate(rows):
        yield to_token_ids(row, f"row {index} of {path}")


def _arrow(path: Path, text_column: str) -> Iterator[Document]:
    try:
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
            except pa.ArrowInvalid:  # `datasets` writes the streaming format to files with the same ending
                source.seek(0)
                reader = pa.ipc.open_stream(source)
                batches = iter(reader)
            column = find_column(reader.schema.names, text_column, str(path))
            yield from read_column((batch.select([column]) for batch in batches), column, str(path))
    except UNREADABLE as error:
        raise DataError(f"An arrow file was expected at {path}, and it cannot be read ({first_line(error)}).") from None


def _saved_by_datasets(path: Path, training_set: TrainingSet) -> Iterator[Document]:
    from datasets import DatasetDict, load_from_disk

    try:
        data = load_from_disk(str(path))
    except Exception as error:  # damaged folders raise whatever their damage leads to
        raise DataError(
            f"A folder saved by `datasets` (save_to_disk) was expected at {path} ({type(error).__name__})."
        ) from error
    if isinstance(data, DatasetDict):
        if training_set.split not in data:
            raise DataError(f"Split {training_set.split!r} was expected in {path}; found {', '.join(data)}.")
        data = data[training_set.split]
    column = find_column(data.column_names, training_set.text_column, str(path))
    for index, row in enumerate(data.with_format(None).select_columns([column])):
        yield to_document(row[column], column, f"row {index} of {path}")


def training_fingerprint(training_set: TrainingSet) -> str | None:
    """Fingerprint of the whole training set, whatever sample of it is declared, as run cards hold it."""
    return fingerprint(replace(training_set, sample=None, seed=0))
