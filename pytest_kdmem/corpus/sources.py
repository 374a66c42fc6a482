"""Every format a training set comes in, read as a stream of documents: a text or an array of token ids each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.columns import Document, column_of, document_of, ids_of
from pytest_kdmem.corpus.formats import STREAMED, UNREADABLE, File, Part, ending_of, first_line, read_file, values_of
from pytest_kdmem.corpus.hub import parts_of_hub
from pytest_kdmem.corpus.object_store import check_uri, is_uri, list_files, parts_of_uri
from pytest_kdmem.corpus.presets import HELD_OUT, PRESETS, preset_of, resolve
from pytest_kdmem.corpus.wikitext import join_articles
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.checkpoint import looks_like_hub_id
from pytest_kdmem.specs.declared import TrainingSet

ENDINGS = (*STREAMED, ".arrow", ".npy")

# Makes one stream of the parts of a remote source, in their order.
Gather = Callable[[Sequence[Part]], Iterator[Document]]


class ReadDocuments(Protocol):
    """What `read_documents` is: the documents of a source, in its order."""

    def __call__(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]: ...


def check_source(training_set: TrainingSet) -> None:
    """Tell now, before any model is loaded, what can be seen to be wrong with a source.

    Raises:
        DataError: it is missing or of no known format.
        SpecError: a preset was asked for what it does not have.
    """
    resolve(training_set)
    if is_uri(training_set.source):
        check_uri(training_set.source)
        return
    path = Path(training_set.source).expanduser()
    if path.is_file() and ending(path) is None:
        raise DataError(f"A training set must end in {', '.join(ENDINGS)}; found {path}.")
    known = path.exists() or preset_of(training_set.source) or looks_like_hub_id(training_set.source)
    if not known:
        raise DataError(
            f"A training set was expected at {training_set.source}, and nothing is there; check the path"
            f" (presets by name: {', '.join(PRESETS)}, each with {HELD_OUT} behind it for its held-out part)."
        )


def in_turn(parts: Iterable[Part]) -> Iterator[Document]:
    """The documents of parts, read here one after another."""
    return chain.from_iterable(part() for part in parts)


def read_documents(training_set: TrainingSet, *, offline: bool = False, gather: Gather = in_turn) -> Iterator[Document]:
    """Documents in the source's order, streamed: all of the split, before `Selection` takes of them, as tokens.

    Args:
        gather: how the files of a hub data set or an object store are read; others are read here.

    Raises:
        DataError: a missing file, column or split, or content that is not of the format (with its line or row).
    """
    check_source(training_set)
    read, _ = resolve(training_set)
    rows = _rows(read, offline=offline, gather=gather)
    return join_articles(rows, training_set.source) if read.documents == "articles" else rows


def _rows(training_set: TrainingSet, *, offline: bool, gather: Gather) -> Iterator[Document]:
    """Lines or rows of the source as they stand."""
    if is_uri(training_set.source):
        return gather(parts_of_uri(training_set, offline=offline))
    path = Path(training_set.source).expanduser()
    if path.is_dir():
        return _saved_by_datasets(path, training_set)
    if not path.is_file():
        return gather(parts_of_hub(training_set, offline=offline))
    match ending(path):
        case ".npy":
            return _npy(path)
        case ".arrow":
            return _arrow(path, training_set.text_column)
        case _:
            # A blank line is no document, but it tells where an article begins.
            keep_blank = training_set.documents == "articles"
            file = File(LocalFileSystem(), str(path), str(path))
            return read_file(file, training_set.text_column, keep_blank=keep_blank)


def fingerprint(training_set: TrainingSet) -> str | None:
    """Digest of the source's content and of how it is read, or None where only streaming it would tell.

    A remembered corpus is found by it, so it hashes content and trusts no time stamps.
    """
    read, selection = resolve(training_set)
    how: list[object] = [read.text_column, read.split, read.config, read.form]
    how += [read.add_special_tokens, read.sample, read.seed]
    # Nothing is added where all lines are taken, so corpora remembered before there was a choice are found.
    how += ["articles"] * (read.documents == "articles")
    how += selection.rule
    if is_uri(read.source):
        # What an object store says of its content (an etag) is not the content's digest.
        files = [Path(file.path) for file in list_files(read.source)] if read.source.startswith("file://") else []
        return digest_of([[[str(ending(file)), sha256(file)] for file in files], "in turn", *how]) if files else None
    path = Path(read.source).expanduser()
    if path.is_file():
        return digest_of([ending(path), sha256(path), *how])
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[[str(file.relative_to(path)), sha256(file)] for file in files], *how])
    commit = read.revision or ""
    if len(commit) == 40 and set(commit) <= set("0123456789abcdef"):
        return digest_of([read.source, commit, *how])
    return None


def expected_examples(training_set: TrainingSet) -> int | None:
    """How many examples there will be, where that is cheap to tell; for showing progress only."""
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
        match ending(path):
            case ".npy":
                return len(np.load(path, mmap_mode="r", allow_pickle=False))
            case ".parquet":
                return int(pq.read_metadata(path).num_rows)
            case ".jsonl" | ".txt":
                with path.open("rb") as file:
                    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError, TypeError):
        pass  # told in full when it is read
    return None


def ending(path: Path) -> str | None:
    return ending_of(path.name, ENDINGS)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        yield ids_of(row, f"row {index} of {path}")


def _arrow(path: Path, text_column: str) -> Iterator[Document]:
    try:
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
            except pa.ArrowInvalid:  # `datasets` writes the streaming format under the same ending
                source.seek(0)
                reader = pa.ipc.open_stream(source)
                batches = iter(reader)
            column = column_of(reader.schema.names, text_column, str(path))
            yield from values_of((batch.select([column]) for batch in batches), column, str(path))
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
    column = column_of(data.column_names, training_set.text_column, str(path))
    for index, row in enumerate(data.with_format(None).select_columns([column])):
        yield document_of(row[column], column, f"row {index} of {path}")


def training_fingerprint(training_set: TrainingSet) -> str | None:
    """What a card knows a training set by: all of it, whatever is sampled; None where only streaming would tell."""
    return fingerprint(replace(training_set, sample=None, seed=0))
