"""Reads Megatron's pairs of files: token ids one after another (.bin), and an index of their sequences (.idx).

The index holds ``MMIDIDX\\0\\0``, version, type of the ids, numbers of sequences and of documents; then the length of
each sequence in tokens, the byte at which it begins, and for each document its first sequence. GPT models are trained
on sequences, so each is a document here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.file_lines import File
from pytest_kdmem.corpus.number_files import (
    LARGEST_ID,
    BinaryFile,
    NumberFile,
    Numbers,
    open_numbers,
    read_exactly,
    size_of,
)
from pytest_kdmem.errors import DataError

INDEX = ".idx"
AnyFile = TypeVar("AnyFile", Path, File, BinaryFile)
MAGIC, OLDER_MAGIC, VERSION = b"MMIDIDX\0\0", b"TNTIDX\0\0", 1
HEADER = struct.Struct("<9sQBQQ")
SIZE, POINTER = np.dtype("<i4"), np.dtype("<i8")
# Types of token ids by their code; those behind uint16 are GPT-NeoX's.
TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2", 9: "<u4", 10: "<u8"}
REAL_TYPES = (6, 7)
SEQUENCES_AT_ONCE = 1 << 14
BYTES_AT_ONCE = 1 << 20
# Types of which every number is a token id.
IDS_ALONE = ("uint8", "uint16")


class Header(NamedTuple):
    """What an index says of its pair.

    Attributes:
        dtype: Type of the token ids.
        sequences: Number of sequences.
        documents: Number of entries that say where documents begin.
    """

    dtype: np.dtype[np.integer[Any]]
    sequences: int
    documents: int

    @property
    def pointers_at(self) -> int:
        """The byte at which the pointers begin, behind the lengths."""
        return HEADER.size + self.sequences * SIZE.itemsize

    @property
    def documents_at(self) -> int:
        """The byte at which the beginnings of documents begin."""
        return self.pointers_at + self.sequences * POINTER.itemsize

    @property
    def size(self) -> int:
        """Number of bytes of the index."""
        return self.documents_at + self.documents * POINTER.itemsize


@dataclass(frozen=True)
class Pair:
    """Both files of a pair, open.

    Attributes:
        path: BinaryFile of the .bin file.
        header: What the index says.
        sizes: Lengths of the sequences, in tokens.
        pointers: Bytes at which the sequences begin.
        documents: Sequences at which documents begin, and their number.
        tokens: The token ids.
    """

    path: BinaryFile
    header: Header
    sizes: NumberFile
    pointers: NumberFile
    documents: NumberFile
    tokens: NumberFile
    _files: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def sequences(self, first: int, count: int) -> tuple[Numbers, Numbers]:
        """Lengths, and places of the first tokens, of some sequences.

        Raises:
            DataError: A sequence is empty, or lies outside of the .bin file.
        """
        sizes, pointers = self.sizes.read(first, count), self.pointers.read(first, count)
        width = self.header.dtype.itemsize
        if (sizes < 1).any():
            at = int((sizes < 1).argmax())
            raise DataError(
                f"Documents of at least one token were expected in {index_path(self.path)}; found {sizes[at]} tokens in"
                f" document {first + at + 1}: write the pair anew without it."
            )
        places, rests = np.divmod(pointers, width)
        outside = (pointers < 0) | (places > self.tokens.count - sizes.astype(np.int64)) | (rests > 0)
        if outside.any():
            at = int(outside.argmax())
            raise DataError(
                f"Pointers into the {self.tokens.count} ids of {self.path} were expected in {index_path(self.path)};"
                f" document {first + at + 1} has {sizes[at]} tokens from byte {pointers[at]} on."
            )
        return sizes.astype(np.int64), places

    def ids(self, place: int, count: int) -> Numbers:
        """Token ids from one place in the .bin file on, in its own type.

        Raises:
            DataError: A number is no token id.
        """
        numbers = self.tokens.read(place, count)
        if numbers.dtype.name in IDS_ALONE or not len(numbers):
            return numbers
        lowest, highest = int(numbers.min()), int(numbers.max())
        if lowest < 0 or highest > LARGEST_ID:
            raise DataError(f"Token ids from 0 up were expected in {self.path}; found {lowest} to {highest}.")
        return numbers


def index_path(path: AnyFile) -> AnyFile:
    """The path of the index that belongs to a .bin file."""
    if isinstance(path, Path):
        return path.with_suffix(INDEX)
    names = (f"{name.rpartition('.')[0]}{INDEX}" for name in (path.path, path.name))
    return File(path.filesystem, *names)


def open_pair(path: BinaryFile) -> Pair:
    """Open a .bin file with its index, and hold the two against each other.

    Raises:
        DataError: The index is damaged, of another kind, or of another .bin file.
    """
    with ExitStack() as stack:
        index = index_path(path)
        # Each part of the index is read in turn, from a file of its own, as what was fetched before is dropped there.
        names = (path, index, index, index)
        bin_file, size_file, pointer_file, document_file = (stack.enter_context(open_numbers(name)) for name in names)
        header, bin_size = _read_header(size_file, index), size_of(path)
        sizes = NumberFile(size_file, index, SIZE, header.sequences, HEADER.size)
        pointers = NumberFile(pointer_file, index, POINTER, header.sequences, header.pointers_at)
        end = _last_end(sizes, pointers, header, bin_size)
        if end != bin_size:
            raise DataError(
                f"An index of all {bin_size} bytes of {path} was expected in {index}, and it is of {end} bytes: one of"
                " the two was cut short, or belongs to another."
            )
        documents = NumberFile(document_file, index, POINTER, header.documents, header.documents_at)
        tokens = NumberFile(bin_file, path, header.dtype, bin_size // header.dtype.itemsize)
        return Pair(path, header, sizes, pointers, documents, tokens, stack.pop_all())


def read_pair(path: BinaryFile) -> Iterator[TokenIds]:
    """The sequences of a pair, in order.

    Raises:
        DataError: As in `open_pair`, or a sequence is empty, outside of the .bin file, or holds what is no token id.
    """
    with open_pair(path) as pair:
        for first in range(0, pair.header.sequences, SEQUENCES_AT_ONCE):
            sizes, places = pair.sequences(first, min(SEQUENCES_AT_ONCE, pair.header.sequences - first))
            yield from _in_runs(pair, sizes, places)


def _in_runs(pair: Pair, sizes: Numbers, places: Numbers) -> Iterator[TokenIds]:
    """Sequences of these lengths at these places; those that follow one another are read at once."""
    limit = BYTES_AT_ONCE // pair.header.dtype.itemsize
    ends = places + sizes
    breaks = np.flatnonzero(places[1:] != ends[:-1]) + 1
    bounds = [0, *breaks.tolist(), len(sizes)]
    for first, last in pairwise(bounds):
        while first < last:
            start = int(places[first])
            # As many whole sequences as may be read at once, and at least one.
            stop = first + max(1, int(np.searchsorted(ends[first:last], start + limit, side="right")))
            ids = pair.ids(start, int(ends[stop - 1]) - start)
            begin = 0
            for end in (ends[first:stop] - start).tolist():
                yield ids[begin:end].astype(np.int32)
                begin = end
            first = stop


def _read_header(file: BinaryIO, path: BinaryFile) -> Header:
    size = size_of(path)
    if size < HEADER.size:
        raise DataError(
            f"A Megatron index of at least {HEADER.size} bytes was expected at {path}, which is cut short to {size}."
        )
    magic, version, code, sequences, documents = HEADER.unpack(read_exactly(file, HEADER.size, path))
    if magic != MAGIC or version != VERSION:
        older = " an older one of fairseq: write the pair anew with --dataset-impl mmap"
        kind = older if magic.startswith(OLDER_MAGIC) else " another file"
        raise DataError(f"A Megatron index (MMIDIDX, version {VERSION}) was expected at {path}, and it is{kind}.")
    if code not in TYPES:
        kind = "real numbers" if code in REAL_TYPES else f"a type of code {code}, which is unknown"
        raise DataError(f"An index of token ids was expected at {path}, and it is one of {kind}.")
    header = Header(np.dtype(TYPES[code]), sequences, documents)
    if size != header.size:
        kind = "cut short" if size < header.size else "longer, as one of images or other modes is"
        raise DataError(
            f"An index of {header.size} bytes was expected at {path}, by the {sequences} sequences and {documents}"
            f" documents that it names; found {size} bytes: it is {kind}."
        )
    return header


def _last_end(sizes: NumberFile, pointers: NumberFile, header: Header, bin_size: int) -> int:
    """The byte at which the last sequence in the .bin file ends; the last one of the index is looked at first."""
    width, end = header.dtype.itemsize, 0
    for first in [header.sequences - 1] if header.sequences else []:
        end = int(pointers.read(first, 1)[0]) + int(sizes.read(first, 1)[0]) * width
    if end != bin_size:
        for first in range(0, header.sequences, SEQUENCES_AT_ONCE):
            count = min(SEQUENCES_AT_ONCE, header.sequences - first)
            ends = pointers.read(first, count) + sizes.read(first, count).astype(np.int64) * width
            end = max(end, int(ends.max()))
    return end
