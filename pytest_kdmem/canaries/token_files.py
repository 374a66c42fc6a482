"""Copies files of token ids with canaries between their documents: arrays, Megatron's pairs, and flat streams."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.canaries.files import Additions
from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.corpus.flat_files import read_flat, type_of
from pytest_kdmem.corpus.megatron import index_path, open_pair, read_pair
from pytest_kdmem.corpus.token_file_copies import write_index
from pytest_kdmem.corpus.token_files import check_token_file
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

# Sequences that are looked at to see whether documents end in one token, such as an EOD.
LOOKED_AT = 64


def copy_with_array_rows(source: Path, target: Path, additions: Additions) -> None:
    """Copy an array ``[examples, tokens]``; a canary stands at the start of a row, before the end of another.

    Raises:
        DataError: The rows are shorter than a canary.
    """
    rows = np.load(source, mmap_mode="r", allow_pickle=False)
    places = [place for place, added in sorted(additions.items()) for _ in added]
    added_rows: list[TokenIds] = [np.asarray(canary.ids) for _, added in sorted(additions.items()) for canary in added]
    if rows.ndim != 2 or max(map(len, added_rows), default=0) > rows.shape[1]:
        raise DataError(
            f"Rows that hold a canary of {max(map(len, added_rows))} tokens were expected in {source}; found"
            f" {rows.shape}: make shorter canaries."
        )
    # What stands behind a canary is the end of another row, so that the row is as long as all others.
    filled = [
        np.concatenate([ids, rows[place % len(rows), len(ids) :]])
        for place, ids in zip(places, added_rows, strict=True)
    ]
    shape = (len(rows) + len(filled), rows.shape[1])
    copy = np.lib.format.open_memmap(target, mode="w+", dtype=rows.dtype, shape=shape)
    done = 0
    for number, (place, row) in enumerate(zip(places, filled, strict=True)):
        copy[done + number : place + number] = rows[done:place]
        copy[place + number] = row
        done = place
    copy[done + len(filled) :] = rows[done:]
    copy.flush()


def number_of_array_rows(source: Path) -> int:
    """Number of rows of an array."""
    return int(np.load(source, mmap_mode="r", allow_pickle=False).shape[0])


def copy_with_sequences(source: Path, target: Path, additions: Additions) -> None:
    """Copy a pair of Megatron, each canary a document of one sequence, ended as those of the source are.

    A canary whose place is inside of a document of several sequences stands before it.
    """
    with open_pair(source) as pair:
        dtype, documents = pair.header.dtype, pair.documents.read(0, pair.header.documents).astype(np.int64)
    end = _common_end(source)
    before: dict[int, list[TokenIds]] = {}
    for place, canaries in sorted(additions.items()):
        begun = int(np.searchsorted(documents, place, side="right"))
        start = int(documents[begun - 1]) if begun else place
        before.setdefault(start, []).extend(_ended(canaries, end, dtype, source))
    sizes, own = array("q"), []
    with target.open("wb") as sink:
        for number, ids in enumerate(chain(read_pair(source), [None])):
            for canary in before.get(number, ()):
                own.append(len(sizes))
                sink.write(canary.tobytes())
                sizes.append(len(canary))
            if ids is not None:
                sink.write(ids.astype(dtype).tobytes())
                sizes.append(len(ids))
    starts = np.array(sorted(before), np.int64)
    added = np.concatenate([[0], np.cumsum([len(before[start]) for start in starts.tolist()])]).astype(np.int64)
    moved = documents + added[np.searchsorted(starts, documents, side="right")]
    boundaries = np.union1d(moved, own) if len(documents) else documents
    write_index(index_path(target), dtype, np.array(sizes, np.int64), boundaries)


def number_of_sequences(source: Path) -> int:
    """Number of sequences of a pair."""
    with open_pair(source) as pair:
        return pair.header.sequences


@dataclass(frozen=True)
class Stream:
    """A flat file, whose documents end in a token, or of which nothing tells where they do.

    Attributes:
        source: The file.
        training_set: How it is read.
        end: The token in which documents end; None if it is not known.
        window: Tokens between two places for canaries where documents are not known.
    """

    source: Path
    training_set: TrainingSet
    end: int | None
    window: int

    @property
    def places(self) -> int:
        """Number of documents that end, or of windows: canaries stand before one, or behind the last."""
        documents, last = 0, None
        for ids in self._documents():
            documents, last = documents + 1, int(ids[-1])
        return documents - int(self.end is not None and last is not None and last != self.end)

    def copy(self, target: Path, additions: Additions) -> None:
        """Copy the stream with canaries between its documents."""
        dtype = type_of(self.training_set)
        with target.open("wb") as sink:
            for number, ids in enumerate(chain(self._documents(), [None])):
                for canary in _ended(additions.get(number, ()), self.end, dtype, self.source):
                    sink.write(canary.tobytes())
                if ids is not None:
                    sink.write(ids.astype(dtype).tobytes())

    def _documents(self) -> Iterator[TokenIds]:
        if self.end is not None:
            yield from read_flat(self.source, replace(self.training_set, form="documents", eos_id=self.end))
            return
        for part in read_flat(self.source, self.training_set):
            yield from np.split(part, range(self.window, len(part), self.window))


def open_stream(source: Path, training_set: TrainingSet, eos_id: int | None, window: int) -> Stream:
    """Return how a flat file is copied.

    Args:
        source: The file.
        training_set: How it is read.
        eos_id: The tokenizer's EOS, which ends documents if the beginning of the file holds it and nothing is declared.
        window: Tokens of a window.

    Raises:
        DataError, SpecError: It is not declared what the file holds, or it holds something else.
    """
    check_token_file(training_set)
    end = training_set.eos_id
    if end is None and eos_id is not None:
        beginning = next(iter(read_flat(source, training_set)), np.array([], np.int32))
        end = eos_id if (beginning == eos_id).any() else None
    return Stream(source, training_set, end, window)


def _ended(
    canaries: Sequence[Canary], end: int | None, dtype: np.dtype[np.integer[Any]], source: Path
) -> list[np.ndarray[Any, Any]]:
    """The token ids of canaries with the token in which documents end, in the type of a file.

    Raises:
        SpecError: The type holds no such ids.
    """
    rows = [np.array([*canary.ids, *([] if end is None else [end])], np.int64) for canary in canaries]
    if any(row.max() > np.iinfo(dtype).max for row in rows):
        raise SpecError(
            f"Token ids that fit into {dtype} were expected of the canaries, as those of {source} are; found larger"
            " ones: make canaries with the tokenizer of this file."
        )
    return [row.astype(dtype) for row in rows]


def _common_end(source: Path) -> int | None:
    """The token in which the first documents of a pair end, if it is the same for all of them."""
    ends = [int(ids[-1]) for ids in islice(read_pair(source), LOOKED_AT)]
    return ends[0] if len(ends) > 1 and len(set(ends)) == 1 else None
