"""Finds the exact copies among the rows of a score table, so that each distinct example counts once.

The digests of many examples are most of a table. They are looked at in place: of two digests that are equal, numbers
made of their letters are equal, and only rows that share such a number are compared letter by letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags, Values

DIGEST_LETTERS = 32
# Odd, so that letters which differ in one word give different numbers.
WORD_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1], dtype=np.uint64)
# Bounds the memory of intermediate arrays.
ROWS_AT_ONCE = 1 << 20

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """The distinct scored examples of a score table of r rows, which ascend by ``example_id``.

    Attributes:
        digest, status: The columns that the examples were found by.
        is_first: Whether a row is the first copy of an example, bool ``[r]``; n rows are.
        further: Rows of the m further copies, int64 ``[m]``.
        original: Index among the n examples of the one that each of these is a copy of, int64 ``[m]``.
    """

    digest: pa.ChunkedArray
    status: pa.ChunkedArray
    is_first: Flags
    further: RowNumbers
    original: RowNumbers

    def __len__(self) -> int:
        return int(np.count_nonzero(self.is_first))

    @property
    def copies(self) -> RowNumbers:
        """Number of copies of each example, int64 ``[n]``."""
        copies = np.bincount(self.original, minlength=len(self))
        copies += 1
        return copies

    def at_first(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A column's values ``[n]`` at the first copies."""
        return column if self.is_first.all() else column.filter(pa.array(self.is_first))

    def values(self, column: pa.ChunkedArray) -> Values:
        """The same as float64 ``[n]``, NaN where it is null."""
        values = as_values(column)
        return values if self.is_first.all() else values[self.is_first]

    def row_mask(self, is_chosen: Flags) -> pa.BooleanArray:
        """Mask ``[r]`` of the first copies of those examples that a flag ``[n]`` chooses."""
        mask = self.is_first.copy()
        mask[self.is_first] = is_chosen
        return pa.array(mask)

    def of_any_copy(self, column: pa.ChunkedArray) -> Flags:
        """Whether a column of booleans is true in any copy of an example, bool ``[n]``."""
        by_row = _flags(column)
        flags = by_row[self.is_first]
        flags[self.original[by_row[self.further]]] = True
        return flags


# Tables of several models over the same examples have the same copies.
_in_use: WeakSet[DistinctRows] = WeakSet()


def distinct_rows(rows: pa.Table) -> DistinctRows:
    """Find the distinct scored examples of a score table, or return those of an equal one that is still in use.

    Args:
        rows: By `scoring.table.SCHEMA`, ascending by ``example_id``.
    """
    digest, status = rows["digest"], rows["status"]
    for earlier in list(_in_use):
        if earlier.digest.equals(digest) and earlier.status.equals(status):
            return earlier
    is_first = _flags(pc.equal(status, "scored"))
    candidates = _possible_copies(digest)
    candidates = candidates[is_first[candidates]]
    codes = digest.take(pa.array(candidates)).combine_chunks().dictionary_encode().indices.to_numpy()
    first_of_code = candidates[np.unique(codes, return_index=True)[1]]
    first_copies = first_of_code[codes]
    is_further = first_copies != candidates
    further = candidates[is_further]
    is_first[further] = False
    original = np.cumsum(is_first)[first_copies[is_further]] - 1 if len(further) else further
    distinct = DistinctRows(digest, status, is_first, further, original)
    _in_use.add(distinct)
    return distinct


def as_values(column: pa.ChunkedArray) -> Values:
    """A column as float64 ``[r]``, NaN where it is null."""
    values: Values = column.to_numpy().astype(np.float64)
    return values


def _possible_copies(digest: pa.ChunkedArray) -> RowNumbers:
    """The rows whose digest may be that of another row, ascending."""
    numbers = _numbers(digest)
    if numbers is None:
        return np.arange(len(digest))
    ascending = np.sort(numbers)
    repeated = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
    del ascending
    if not len(repeated):
        return np.empty(0, dtype=np.int64)
    is_repeated = np.empty(len(numbers), dtype=bool)
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        places = np.searchsorted(repeated, numbers[rows]).clip(max=len(repeated) - 1)
        is_repeated[rows] = repeated[places] == numbers[rows]
    return np.flatnonzero(is_repeated)


def _numbers(digest: pa.ChunkedArray) -> npt.NDArray[np.uint64] | None:
    """A number for each digest, uint64 ``[r]``, the same for the same digest; None if some have not 32 letters."""
    numbers = np.empty(len(digest), dtype=np.uint64)
    start = 0
    for chunk in digest.chunks:
        if not len(chunk):
            continue
        offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        if (np.diff(offsets) != DIGEST_LETTERS).any():
            return None
        letters = np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        words = letters.view(np.uint64).reshape(len(chunk), -1)
        numbers[start : start + len(chunk)] = (words * WORD_FACTORS).sum(axis=1)
        start += len(chunk)
    return numbers


def _flags(column: pa.ChunkedArray) -> Flags:
    """Booleans ``[r]``; a null becomes false."""
    flags: Flags = pc.fill_null(column, False).to_numpy()
    return flags
