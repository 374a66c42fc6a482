"""Reads flat files of token ids: one stream, of which the file tells neither the type nor where documents end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.text import last_part
from pytest_kdmem.corpus.megatron import index_path
from pytest_kdmem.corpus.number_files import BinaryFile, NumberFile, Numbers, open_numbers, size_of
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

# Token ids that are read at once; without declared documents, so many stand for one wherever a source is looked at.
TOKENS_AT_ONCE = 1 << 15
# Tokens after which it is clear that no document ends in the declared token.
LONGEST_DOCUMENT = 1 << 26
# No vocabulary is as large: beyond it lie two ids of 16 bits that are read as one.
NO_ID = 1 << 24
# The halves of 32 bits of which every second one is as small are ids of a vocabulary below 2**18.
HIGH_HALF, HALVES = 3, 64
# The first number of a file that llm.c writes, which has a header of 256 numbers.
HEADER_MARKS, HEADER_BYTES = (20240520, 20240801), 1024

Ids = np.dtype[np.unsignedinteger[Any]]


def check_flat(path: BinaryFile, training_set: TrainingSet) -> None:
    """Check what is declared of a flat file, by its size and its beginning.

    Raises:
        DataError: It does not hold ids of the declared type.
        SpecError: It is not declared what the file holds, or how training cut it.
    """
    index = last_part(str(index_path(path)))
    if training_set.dtype is None:
        raise SpecError(
            f"The type of the token ids in {path} was expected to be declared, as a flat .bin file does not tell it"
            f' (and {index}, which would, is not beside it); declare dtype="uint16" or "uint32"'
            " (--kdmem-token-dtype)."
        )
    if training_set.order is not None:
        raise SpecError(
            f"An index {index} was expected beside {path}, as the order of samples"
            f" ({training_set.order}) names documents by it; put it there, or drop order."
        )
    if training_set.form == "blocks" and training_set.eos_id is not None:
        raise SpecError(
            f'One way to cut {path} was expected; found eos_id, at which documents end, and form="blocks", windows of'
            " the stream: drop the one that training did not use."
        )
    if training_set.form == "blocks" and training_set.eos not in (None, "never"):
        raise SpecError(
            f"Documents that are joined already were expected in {path}, whose tokens are one stream; drop"
            f' eos="{training_set.eos}".'
        )
    if training_set.form == "blocks" and training_set.minimum_tokens:
        raise SpecError(
            f"All of {path} was expected to be in its windows, as a stream has no documents to leave out; drop"
            " minimum_tokens."
        )
    if training_set.form == "documents" and training_set.eos_id is None:
        raise SpecError(
            f'It was expected to be declared how training cut {path}, a stream of tokens; declare form="blocks" if it'
            " cut windows (--kdmem-form), or the token id that ends each document if it cut these, eos_id=…"
            " (--kdmem-eos-id)."
        )
    _check_content(path, type_of(training_set))


def read_flat(path: BinaryFile, training_set: TrainingSet) -> Iterator[TokenIds]:
    """Documents, each with the token that ends it; or parts of the stream, whose lengths mean nothing, for blocks.

    Raises:
        DataError: There is an id that no vocabulary holds, or no document ends.
    """
    parts = _parts(path, type_of(training_set))
    return parts if training_set.eos_id is None else _documents(parts, training_set.eos_id, path)


def number_of_tokens(path: BinaryFile, training_set: TrainingSet) -> int:
    """The number of token ids in a flat file."""
    return size_of(path) // type_of(training_set).itemsize


def type_of(training_set: TrainingSet) -> Ids:
    """The declared type of the ids in a flat file."""
    assert training_set.dtype is not None  # `check_flat` refuses it
    return np.dtype(training_set.dtype).newbyteorder("<")


def _check_content(path: BinaryFile, dtype: Ids) -> None:
    size = size_of(path)
    with open_numbers(path) as file:
        beginning = file.read(TOKENS_AT_ONCE)
    if int.from_bytes(beginning[:4], "little") in HEADER_MARKS:
        raise DataError(
            f"Token ids alone were expected in {path}, and it begins with a header as llm.c writes it; cut the first"
            f" {HEADER_BYTES} bytes off."
        )
    if size % dtype.itemsize:
        raise DataError(
            f"Whole ids of type {dtype} were expected in {path}, and its {size} bytes are no multiple of"
            f" {dtype.itemsize}: it is cut short, or of another type."
        )
    halves = np.frombuffer(beginning[: len(beginning) // 4 * 4], "<u2")
    if dtype.itemsize == 2 and len(halves) >= HALVES and (halves[1::2] <= HIGH_HALF).all():
        raise DataError(
            f"Ids of type uint16 were expected in {path}, and every second one is at most {HIGH_HALF}, as where each id"
            ' takes 32 bits: declare dtype="uint32" (--kdmem-token-dtype).'
        )


def _parts(path: BinaryFile, dtype: Ids) -> Iterator[TokenIds]:
    with open_numbers(path) as file:
        numbers = NumberFile(file, path, dtype, size_of(path) // dtype.itemsize)
        for first in range(0, numbers.count, TOKENS_AT_ONCE):
            ids = numbers.read(first, min(TOKENS_AT_ONCE, numbers.count - first))
            if dtype.itemsize > 2 and ids.max() >= NO_ID:
                raise _no_id(path, ids, first)
            yield ids.astype(np.int32)


def _no_id(path: BinaryFile, ids: Numbers, first: int) -> DataError:
    at = int((ids >= NO_ID).argmax())
    return DataError(
        f"Ids of type uint32 were expected in {path}, and token {first + at} would be {ids[at]}, which no vocabulary"
        ' holds: it is made of two ids of 16 bits; declare dtype="uint16" (--kdmem-token-dtype).'
    )


def _documents(parts: Iterable[TokenIds], eos_id: int, path: BinaryFile) -> Iterator[TokenIds]:
    """The stream cut behind each token that ends a document; the last one may have none."""
    pending: list[TokenIds] = []
    tokens = 0
    for ids in parts:
        start = 0
        for end in (np.flatnonzero(ids == eos_id) + 1).tolist():
            yield np.concatenate([*pending, ids[start:end]]) if pending else ids[start:end]
            pending, tokens, start = [], 0, end
        if start < len(ids):
            pending.append(ids[start:])
            tokens += len(ids) - start
        if tokens > LONGEST_DOCUMENT:
            raise DataError(
                f"A document that ends in token {eos_id} was expected within {LONGEST_DOCUMENT} tokens of {path}; found"
                " none: declare the token that ends documents there (--kdmem-eos-id)."
            )
    if pending:
        yield np.concatenate(pending)
