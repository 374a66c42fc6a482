"""Finds which of many runs of numbers, such as the bytes of texts or token ids, stand anywhere in a stream of them.

A rolling hash of the stream is compared with that of the beginning of each run, of a power of two of numbers, and what
has the same hash is compared number by number. So a stream of any length is read once, whatever the number of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags

# Any odd number, so that it has an inverse modulo 2**64.
BASE = 0x9E3779B97F4A7C15
INVERSE = pow(BASE, -1, 1 << 64)
# Parts are searched once so many numbers have come together.
NUMBERS_AT_ONCE = 1 << 18
# Most hashes are ruled out by their first bits, in a table that stays in the processor's cache.
TABLE_BITS = 20

Numbers = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]


class RunSearch:
    """Searches a stream, of which parts are added in turn, for runs of numbers.

    Args:
        runs: The n runs ``[m]`` of non-negative integers, each of its own length, and none empty.
    """

    def __init__(self, runs: Sequence[Numbers]) -> None:
        self._runs: dict[bytes, list[int]] = {}
        for index, run in enumerate(runs):
            self._runs.setdefault(run.astype("<i8").tobytes(), []).append(index)
        self._found = np.zeros(len(runs), dtype=bool)
        by_length: dict[int, list[Numbers]] = {}
        for content in self._runs:
            run = np.frombuffer(content, "<i8")
            by_length.setdefault(1 << (len(run).bit_length() - 1), []).append(run)
        self._beginnings = [_Beginnings(length, same) for length, same in by_length.items()]
        self._longest = max((len(run) for run in runs), default=1)
        self._pending: list[Numbers] = []
        self._size = 0

    def add(self, part: Numbers) -> None:
        """Add the next part ``[m]`` of the stream; runs may begin in one part and end in a later one."""
        self._pending.append(part)
        self._size += len(part)
        if self._size >= NUMBERS_AT_ONCE + self._longest:
            self._search()

    def found(self) -> Flags:
        """Whether each of the runs stands in the stream so far, bool ``[n]``."""
        self._search()
        return self._found

    def _search(self) -> None:
        if not self._pending:
            return
        stream = np.concatenate(self._pending).astype("<i8")
        powers, inverses = _powers(BASE, len(stream)), _powers(INVERSE, len(stream))
        sums: Hashes = np.concatenate([np.zeros(1, np.uint64), np.cumsum(stream.astype(np.uint64) * powers)])
        for beginnings in self._beginnings:
            if len(stream) < beginnings.length:
                continue
            starts = len(stream) - beginnings.length + 1
            hashes = (sums[beginnings.length :] - sums[:starts]) * inverses[:starts]
            for run in beginnings.pop_found(stream, hashes):
                self._found[self._runs[run.tobytes()]] = True
        tail = stream[max(0, len(stream) - self._longest + 1) :]
        self._pending, self._size = [tail], len(tail)


class _Beginnings:
    """Runs that are told apart by their first numbers.

    Args:
        length: How many of the first numbers are hashed.
        runs: The runs, none of which is shorter or stands there twice.
    """

    def __init__(self, length: int, runs: Sequence[Numbers]) -> None:
        self.length = length
        self._by_hash: dict[int, list[Numbers]] = {}
        powers = _powers(BASE, length)
        for run in runs:
            run_hash = int((run[:length].astype(np.uint64) * powers).sum(dtype=np.uint64))
            self._by_hash.setdefault(run_hash, []).append(run)
        self._table = np.zeros(1 << TABLE_BITS, dtype=bool)
        self._table[[run_hash >> (64 - TABLE_BITS) for run_hash in self._by_hash]] = True
        self._hashes = np.array(sorted(self._by_hash), dtype=np.uint64)

    def pop_found(self, stream: Numbers, hashes: Hashes) -> list[Numbers]:
        """Return the runs that stand in a stream, and search for them no more.

        Args:
            stream: The numbers ``[s]``.
            hashes: Hash of the numbers from each place on, uint64 ``[s - length + 1]``.
        """
        places = np.flatnonzero(self._table[hashes >> np.uint64(64 - TABLE_BITS)])
        places = places[np.isin(hashes[places], self._hashes)]
        popped: list[Numbers] = []
        for place in places:
            remaining = self._by_hash[int(hashes[place])]
            is_here = [np.array_equal(stream[place : place + len(run)], run) for run in remaining]
            if any(is_here):
                popped += [run for run, here in zip(remaining, is_here, strict=True) if here]
                remaining[:] = [run for run, here in zip(remaining, is_here, strict=True) if not here]
        return popped


def _powers(base: int, count: int) -> Hashes:
    """The powers of a base from 0 on modulo 2**64, uint64 ``[count]``."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    powers: Hashes = np.cumprod(factors)
    return powers
