"""Reads the samples of a Megatron or GPT-NeoX training in its order, as the three files beside its data name them.

A training joins documents in one order (documents), cuts what is joined into samples (samples: for each the document
and the token at which it begins), and takes these in another order (shuffle). A sample ends with the first token of
the next one, which it predicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.paths import is_file, local_path
from pytest_kdmem.corpus.arrays import read_header
from pytest_kdmem.corpus.megatron import Pair, open_pair
from pytest_kdmem.corpus.number_files import NumberFile, open_numbers
from pytest_kdmem.errors import DataError

# Ends of the names of the shuffle, of GPT-NeoX and of Megatron's core, with those of samples and documents beside it.
NAMES = {
    "_shuffle_idx.npy": ("_sample_idx.npy", "_doc_idx.npy"),
    "-shuffle_index.npy": ("-sample_index.npy", "-document_index.npy"),
}
# The number of samples that a training took, in the names of GPT-NeoX; behind them stand some that it did not take.
TAKEN = re.compile(r"_(\d+)ns_")
SAMPLES_AT_ONCE = 1 << 14
MOST_DOCUMENTS = 1 << 20  # of one sample


class Order(NamedTuple):
    """The three files of an order, open: places of samples, their beginnings ``[2 · n]``, and documents."""

    shuffle: NumberFile
    samples: NumberFile
    documents: NumberFile

    @property
    def taken(self) -> int:
        """Number of samples that training took."""
        named = TAKEN.search(self.shuffle.path.name)
        return min(self.shuffle.count, int(named[1])) if named else self.shuffle.count


def order_paths(order: str) -> tuple[Path, Path, Path]:
    """The paths of shuffle, samples and documents of an order, which is named by the first.

    Raises:
        DataError: It has another name, or one of the files is missing.
    """
    path = local_path(order)
    end = next((end for end in NAMES if path.name.endswith(end)), None)
    if end is None:
        raise DataError(f"The order of samples was expected in a file …{' or …'.join(NAMES)}; found {path.name}.")
    begin = path.name.removesuffix(end)
    paths = (path, *(path.with_name(f"{begin}{name}") for name in NAMES[end]))
    missing = [name for name in paths if not is_file(name)]
    if missing:
        raise DataError(
            f"Shuffle, samples and documents of a training were expected side by side; there is no {missing[0]}."
        )
    return paths[0], paths[1], paths[2]


def check_order(path: Path, order: str) -> None:
    """Raise DataError unless three readable files name samples of the documents of a .bin file with its index."""
    with ExitStack() as stack:
        _open_order(order, stack)
        stack.enter_context(open_pair(path))


def number_of_samples(order: str) -> int:
    """The number of samples that training took.

    Raises:
        DataError: As in `order_paths`, or a file holds no array of whole numbers.
    """
    with ExitStack() as stack:
        return _open_order(order, stack).taken


def read_in_order(path: Path, order: str) -> Iterator[TokenIds]:
    """The samples of a training in its order, each with the token behind it that it predicts.

    Args:
        path: The .bin file, with its index beside it.
        order: Path of the shuffle.

    Raises:
        DataError: A file is damaged, or names a sample or document that is not there.
    """
    with ExitStack() as stack:
        files = _open_order(order, stack)
        pair = stack.enter_context(open_pair(path))
        for first in range(0, files.taken, SAMPLES_AT_ONCE):
            for place in files.shuffle.read(first, min(SAMPLES_AT_ONCE, files.taken - first)).tolist():
                yield _sample(files, pair, place)


def _sample(files: Order, pair: Pair, place: int) -> TokenIds:
    if not 0 <= place < files.samples.count // 2 - 1:
        raise DataError(
            f"Places of {files.samples.count // 2 - 1} samples were expected in {files.shuffle.path}; found {place}."
        )
    first, begin, last, end = files.samples.read(2 * place, 4).tolist()
    if not (0 <= first <= last < files.documents.count and last - first < MOST_DOCUMENTS):
        raise DataError(
            f"Documents from 0 to below {files.documents.count} were expected in {files.samples.path}; sample {place}"
            f" begins in {first} and ends in {last}."
        )
    parts = []
    for at, document in enumerate(files.documents.read(first, last - first + 1).tolist(), start=first):
        if not 0 <= document < pair.header.sequences:
            raise DataError(
                f"Documents from 0 to below {pair.header.sequences} were expected in {files.documents.path}; found"
                f" {document}: it is the order of another .bin file than {pair.path}."
            )
        sizes, places = pair.sequences(document, 1)
        size, start = int(sizes[0]), begin if at == first else 0
        stop = end + 1 if at == last else size
        if not 0 <= start <= stop <= size:
            raise DataError(
                f"Tokens of document {document}, which has {size}, were expected in {files.samples.path}; sample"
                f" {place} has {start} to {stop}: it is the order of another .bin file than {pair.path}."
            )
        parts.append(pair.ids(int(places[0]) + start, stop - start))
    return np.concatenate(parts).astype(np.int32)


def _open_order(order: str, stack: ExitStack) -> Order:
    shuffle, samples, documents = (_open_array(path, stack) for path in order_paths(order))
    if samples.count < 2 or samples.count % 2:
        raise DataError(f"Pairs of document and token were expected in {samples.path}; found {samples.count} numbers.")
    return Order(shuffle, samples, documents)


def _open_array(path: Path, stack: ExitStack) -> NumberFile:
    """An array of whole numbers, row by row."""
    file = stack.enter_context(open_numbers(path))
    shape, by_columns, dtype = read_header(file, path)
    count = int(np.prod(shape, dtype=object))
    if not np.issubdtype(dtype, np.integer) or (by_columns and len(shape) > 1) or min(shape, default=0) < 0:
        raise DataError(f"Whole numbers, row by row, were expected in {path}; found {dtype} of shape {list(shape)}.")
    if path.stat().st_size - file.tell() < count * dtype.itemsize:
        raise DataError(f"{count} numbers were expected in {path}, which is cut short.")
    return NumberFile(file, path, dtype, count, file.tell())
