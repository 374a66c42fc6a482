"""Reads a training set of any format as a stream of documents, each a text or an array of token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.base.addresses import check_address, is_address
from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.base.paths import exists, is_file, is_folder, local_path
from pytest_kdmem.corpus.arrays import number_of_rows, read_rows
from pytest_kdmem.corpus.arrow_files import read_arrow, read_saved_folder
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.file_lines import UNREADABLE, File
from pytest_kdmem.corpus.formats import STREAMED, DocumentReader, find_ending, read_file
from pytest_kdmem.corpus.hub import hub_readers
from pytest_kdmem.corpus.object_store import list_files, uri_readers
from pytest_kdmem.corpus.presets import HELD_OUT, PRESETS, find_preset, resolve
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.row_reader import columns_of
from pytest_kdmem.corpus.strata_of import StrataOf
from pytest_kdmem.corpus.token_files import (
    ENDING,
    check_pair_is_whole,
    check_token_file,
    declared_of,
    files_of,
    is_token_file,
    is_token_folder,
    number_of_examples,
    read_token_file,
    read_tokens_at_address,
)
from pytest_kdmem.corpus.wikitext import join_articles
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.locations import looks_like_hub_id

ENDINGS = (*STREAMED, ".arrow", ".npy", ENDING)

# Reads the documents of several readers as one stream, in their order.
Gather = Callable[[Sequence[DocumentReader]], Iterator[Document]]


class ReadDocuments(Protocol):
    """A function that reads the documents of a source in their order, as `read_documents` does."""

    def __call__(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]: ...


def check_source(training_set: TrainingSet) -> None:
    """Check a source without reading it, so that mistakes are reported before any model is loaded.

    Raises:
        DataError: The source is missing or damaged, or its format is unknown.
        SpecError: A preset has no such part, rows that are examples already would be cut anew, or what a file does not
            tell is not declared.
    """
    check_place(training_set)
    if training_set.chat_template is not None and not is_file(Path(training_set.chat_template)):
        raise SpecError(
            f"A chat template was expected at {named(training_set.chat_template)}, and no file is there; check the"
            " path."
        )
    path = local_path(training_set.source)
    ending = None if is_address(training_set.source) else _ending_of(path)
    if ending == ENDING:
        check_token_file(training_set)
    elif training_set.order is not None:
        raise SpecError(
            "A .bin file of this machine with its index was expected with the order of its samples; found"
            f" {named(training_set.source)}: drop order (--kdmem-order)."
        )
    if ending == ".npy" and training_set.form == "blocks" and training_set.eos != "never":
        raise SpecError(
            f'Documents were expected with form="blocks", and rows of {named(str(path))} are cut already: an EOS behind'
            ' each, and other cuts, would make other examples of them; drop form="blocks", or declare eos="never" if'
            " the rows are one stream of tokens."
        )


def check_place(training_set: TrainingSet) -> None:
    """Check that there is something of a known format where a source is said to be, however it is read.

    Raises:
        DataError: The source is missing, or its format is unknown.
        SpecError: A preset has no such part.
    """
    resolve(training_set)
    if is_address(training_set.source):
        check_address(training_set.source)
        return
    path = local_path(training_set.source)
    check_pair_is_whole(path)
    if is_file(path) and file_ending(path) is None:
        raise DataError(f"A training set must end in {', '.join(ENDINGS)}; found {named(str(path))}.")
    if exists(path) and not (is_file(path) or is_folder(path)):
        raise DataError(f"A file or folder was expected at {named(str(path))}; found a pipe or a device.")
    if not (exists(path) or find_preset(training_set.source) or looks_like_hub_id(training_set.source)):
        raise DataError(
            f"A training set was expected at {named(training_set.source)}, and nothing is there; check the path"
            f" (presets by name: {', '.join(PRESETS)}; with {HELD_OUT} appended, the held-out part of each)."
        )


def read_in_order(readers: Sequence[DocumentReader], meter: ReadMeter | None = None) -> Iterator[Document]:
    """The documents of readers that are called one after another, and to a meter how many of them are read."""
    for number, reader in enumerate(readers):
        if meter is not None:
            meter.begin_file(number, len(readers))
        yield from reader()


def read_documents(
    training_set: TrainingSet,
    *,
    offline: bool = False,
    gather: Gather | None = None,
    meter: ReadMeter | None = None,
) -> Iterator[Document]:
    """Stream all documents of the split in the source's order, before any are selected.

    Args:
        training_set: The training set to read.
        offline: Never open a network connection.
        gather: Function that reads the files of a hub data set or an object store; one after another if None.
        meter: Receives the share of the source that is read, where that is known and ``gather`` is None.

    Raises:
        DataError: A file, column or split is missing, or content is not of its format (names the line or row).
    """
    check_source(training_set)
    read, _ = resolve(training_set)
    rows = _rows(read, offline=offline, gather=gather, meter=meter if gather is None else None)
    return join_articles(rows, training_set.source) if read.documents == "articles" else rows


def _rows(
    training_set: TrainingSet, *, offline: bool, gather: Gather | None, meter: ReadMeter | None
) -> Iterator[Document]:
    """Lines or rows of the source."""
    gather = gather or partial(read_in_order, meter=meter)
    if is_address(training_set.source) and is_token_file(training_set):
        return read_tokens_at_address(training_set, offline=offline)
    if is_address(training_set.source):
        return gather(uri_readers(training_set, offline=offline, meter=meter))
    path = local_path(training_set.source)
    if is_token_folder(path):
        return read_token_file(training_set)
    if is_folder(path):
        return read_saved_folder(path, training_set.split, columns_of(training_set))
    if not is_file(path):
        return gather(hub_readers(training_set, offline=offline))
    match file_ending(path):
        case ".npy":
            return read_rows(path)
        case ".bin":
            return read_token_file(training_set)
        case ".arrow":
            return read_arrow(path, columns_of(training_set))
        case _:
            # A blank line is no document, but marks the beginning of an article.
            keep_blank = training_set.documents == "articles"
            file = File(LocalFileSystem(), str(path), str(path))
            return read_file(file, columns_of(training_set), keep_blank=keep_blank, meter=meter)


def fingerprint(training_set: TrainingSet) -> str | None:
    """Digest of the source's content and of how it is read; None if its content is unknown until it is streamed.

    Stored records of a corpus are looked up by it, and by what conversations depend on beside it (`chat_digests`).
    """
    read, selection = resolve(training_set)
    settings: list[object] = [read.text_column, read.split, read.config, read.form]
    settings += [read.add_special_tokens or False, read.sample, read.seed]
    # The defaults add nothing, so that records from before these settings existed are still valid.
    settings += ["articles"] * (read.documents == "articles")
    settings += [[name, value] for name in ("tokenizer", "eos") if (value := getattr(read, name)) is not None]
    settings += [[name, value] for name in ("chat_columns", "chat_turns") if (value := getattr(read, name)) is not None]
    # Records of samples from before copies were counted are not found.
    settings += ["copies"] * (read.sample is not None)
    if isinstance(read, StrataOf):
        settings += ["strata", *read.rule]
    settings += selection.rule
    if is_address(read.source) and not read.source.startswith("file://"):
        return None  # the etag of an object store is no digest of the content
    path = local_path(read.source)
    if _ending_of(path) == ENDING or (is_address(read.source) and is_token_file(read)):
        contents = [file_digest(file) for file in files_of(read)]
        return digest_of([ENDING, contents, declared_of(read), *settings])
    if is_address(read.source):
        files = [Path(file.path) for file in list_files(read.source)]
        digests = [[str(file_ending(file)), file_digest(file)] for file in files]
        return digest_of([digests, "in turn", *settings])
    if is_file(path):
        return digest_of([file_ending(path), file_digest(path), *settings])
    if is_folder(path):
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[[str(file.relative_to(path)), file_digest(file)] for file in files], *settings])
    commit = read.revision or ""
    if len(commit) == 40 and set(commit) <= set("0123456789abcdef"):
        return digest_of([read.source, commit, *settings])
    return None


def expected_examples(training_set: TrainingSet, window: int | None = None) -> int | None:
    """The number of examples, for showing progress; None if it is not known without reading the source.

    Args:
        training_set: The training set.
        window: Number of tokens of a block; None if it is not known.
    """
    read, selection = resolve(training_set)
    path = local_path(read.source)
    if read.sample is not None:
        return read.sample
    ending = _ending_of(path)
    if read.form != "documents" and ending != ENDING:
        return None
    if selection.take is not None:
        return selection.take
    if selection.minimum_tokens or read.documents == "articles" or ending is None:
        return None
    try:
        match ending:
            case ".bin":
                return number_of_examples(read, window)
            case ".npy":
                return number_of_rows(path)
            case ".parquet":
                return int(pq.read_metadata(path).num_rows)
            case ".jsonl" | ".txt":
                with path.open("rb") as file:
                    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except (*UNREADABLE, DataError):
        pass  # reading the source reports it in full
    return None


def file_ending(path: Path) -> str | None:
    """The ending that tells a file's format; None if it is unknown."""
    return find_ending(path.name, ENDINGS)


def _ending_of(path: Path) -> str | None:
    """The ending of a file, or of the files in a folder of token ids; None of what is neither."""
    if is_token_folder(path):
        return ENDING
    return file_ending(path) if is_file(path) else None


def training_fingerprint(training_set: TrainingSet) -> str | None:
    """Fingerprint of the whole training set, whatever sample of it is declared, as run cards hold it."""
    return fingerprint(replace(training_set, sample=None, seed=0))
