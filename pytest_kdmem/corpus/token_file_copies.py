"""Copies .bin files of token ids without some of their documents, with the index that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.flat_files import read_flat, type_of
from pytest_kdmem.corpus.megatron import HEADER, MAGIC, POINTER, SIZE, TYPES, VERSION, index_path, open_pair, read_pair
from pytest_kdmem.corpus.token_files import is_flat
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet


def copy_token_file(source: Path, target: Path, kept: Flags, training_set: TrainingSet) -> int:
    """Copy a .bin file, and its index if it has one, with the documents that the flags keep.

    Returns:
        the number of documents in the source; the copy is whole only if it is that of the flags.

    Raises:
        DataError: The source is damaged.
    """
    if is_flat(training_set):
        with target.open("wb") as sink:
            return len(_write_kept(read_flat(source, training_set), kept, type_of(training_set), sink))
    with open_pair(source) as pair:
        dtype, documents = pair.header.dtype, pair.documents.read(0, pair.header.documents)
    with target.open("wb") as sink:
        sizes = _write_kept(read_pair(source), kept, dtype, sink)
    if len(sizes) == len(kept):
        write_index(index_path(target), dtype, sizes[kept], _boundaries(documents, kept, index_path(source)))
    return len(sizes)


def _write_kept(
    documents: Iterable[TokenIds], kept: Flags, dtype: np.dtype[np.integer[Any]], sink: BinaryIO
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Write what is kept, and return the length of every document."""
    sizes = []
    for number, ids in enumerate(documents):
        if number < len(kept) and kept[number]:
            sink.write(ids.astype(dtype).tobytes())
        sizes.append(len(ids))
    return np.array(sizes, dtype=np.int64)


def _boundaries(documents: np.ndarray[Any, Any], kept: Flags, path: Path) -> np.ndarray[Any, Any]:
    """The sequences at which documents begin, and the end, counted without those that are left out."""
    if len(documents) and (documents.min() < 0 or documents.max() > len(kept)):
        raise DataError(
            f"Beginnings of documents from 0 to {len(kept)} were expected in {path}; found {documents.min()} to"
            f" {documents.max()}: write the pair anew."
        )
    before = np.concatenate([[0], np.cumsum(kept)])
    return np.unique(before[documents])


def write_index(
    path: Path, dtype: np.dtype[np.integer[Any]], sizes: np.ndarray[Any, Any], documents: np.ndarray[Any, Any]
) -> None:
    """Write the index of a pair whose sequences lie one after another.

    Args:
        path: Path of the .idx file.
        dtype: Type of the token ids.
        sizes: Length of each sequence, in tokens.
        documents: Sequences at which documents begin, and their number.
    """
    code = next(code for code, name in TYPES.items() if np.dtype(name) == dtype)
    pointers = np.concatenate([[0], np.cumsum(sizes)[:-1]]) * dtype.itemsize if len(sizes) else sizes
    with path.open("wb") as sink:
        sink.write(HEADER.pack(MAGIC, VERSION, code, len(sizes), len(documents)))
        for numbers, kind in ((sizes, SIZE), (pointers, POINTER), (documents, POINTER)):
            sink.write(numbers.astype(kind).tobytes())
