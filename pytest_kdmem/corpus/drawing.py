"""Draws samples of distinct examples: at random, and at least some of each stratum.

Every draw takes the examples with the least keyed hashes, which are as random as any draw by chance. So samples are
nested: the examples of a stratum that are in a random sample, and those that the stratum takes beyond it, together are
those of the stratum with the least hashes. They are a random sample of the stratum, whatever is drawn of others.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pytest_kdmem.corpus.copy_tiers import tier_of
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.groups import Codes


@dataclass(frozen=True)
class Stratum:
    """A stratum of a training set.

    Attributes:
        index: Index of its name, among the groups in the order of the source or among the tiers of copies.
        size: Number of its distinct examples that are long enough.
        drawn: Positions of the first copies of those that it takes beyond the random sample, ascending.
    """

    index: int
    size: int
    drawn: tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """A random sample.

    Attributes:
        examples: The examples, in the order of their first copies.
        exhaustive: Whether they are all examples.
        copies: Positions of the first and the further copies of each of them that has any.
    """

    examples: list[Example]
    exhaustive: bool
    copies: tuple[tuple[int, ...], ...]


class Ranking:
    """Numbers by which the examples of a sample with this seed are ordered; copies have the same number."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(16, "little")

    def rank(self, example: Example) -> bytes:
        """The number of an example, of which its first 64 bits decide but between two that share these."""
        return hashlib.blake2b(example.content, digest_size=16, key=self._key).digest()


def draw(examples: Iterable[Example], size: int, seed: int) -> Drawn:
    """Draw a uniform random sample of distinct examples, in one pass with ``size`` examples in memory.

    An example that is in the sample at the end was so from its first copy on, so that all of its copies are seen.
    """
    ranking = Ranking(seed)
    kept: dict[bytes, Example] = {}
    copies: dict[bytes, list[int]] = {}
    heap: list[tuple[int, bytes]] = []  # negative hashes, so that the largest hash is on top
    exhaustive = True
    for example in examples:
        example_hash = ranking.rank(example)
        if example_hash in kept:
            copies.setdefault(example_hash, [kept[example_hash].position]).append(example.position)
            continue
        rank = -int.from_bytes(example_hash, "big")
        if len(heap) < size:
            heapq.heappush(heap, (rank, example_hash))
            kept[example_hash] = _alone(example)
            continue
        exhaustive = False
        if rank > heap[0][0]:
            _, dropped = heapq.heapreplace(heap, (rank, example_hash))
            del kept[dropped]
            copies.pop(dropped, None)
            kept[example_hash] = _alone(example)
    return Drawn(
        sorted(kept.values(), key=lambda example: example.position),
        exhaustive,
        tuple(sorted(map(tuple, copies.values()))),
    )


class StrataDraw:
    """Draws, in two passes over all examples, what strata take beyond a random sample.

    Args:
        size: Number of examples in the random sample.
        least: Number of examples to draw of each stratum at least.
        seed: Seed of the sample.
    """

    def __init__(self, size: int, least: int, seed: int) -> None:
        self._size, self._least = size, least
        self._ranking = Ranking(seed)
        self._ranks, self._positions = array("Q"), array("q")

    def see(self, example: Example) -> None:
        """Take note of an example that is long enough; 16 bytes are kept of it."""
        self._ranks.append(int.from_bytes(self._ranking.rank(example)[:8], "big"))
        self._positions.append(example.position)

    def choose(self, codes: Codes | None) -> tuple[tuple[Stratum, ...], tuple[tuple[int, ...], ...]]:
        """Return all strata once all examples were seen, and the copies of what they take, as `Drawn` has them.

        Args:
            codes: Index of the group of each example, by its position; None if the strata are tiers of copies.
        """
        if not self._ranks:
            return (), ()
        ranks = np.frombuffer(self._ranks, np.uint64)
        positions = np.frombuffer(self._positions, np.int64)
        _, first, distinct, counts = np.unique(ranks, return_index=True, return_inverse=True, return_counts=True)
        n = len(first)
        if codes is None:
            pairs = tier_of(counts) * n + np.arange(n)
        else:
            pairs = codes[positions].astype(np.int64) * n + distinct
        pairs = np.unique(pairs)
        indices, starts = np.unique(pairs // n, return_index=True)
        # The members of a stratum ascend by rank, and the first of all are the random sample.
        members = np.split(pairs % n, starts[1:])
        strata, taken = [], set()
        for index, of_stratum in zip(indices.tolist(), members, strict=True):
            beyond = [number for number in of_stratum[: self._least].tolist() if number >= self._size]
            taken.update(beyond)
            drawn = tuple(sorted(positions[first[beyond]].tolist()))
            strata.append(Stratum(index, len(of_stratum), drawn))
        return tuple(strata), _copies_of(taken, distinct, counts, positions)


def _copies_of(
    taken: set[int], distinct: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
) -> tuple[tuple[int, ...], ...]:
    is_copied = np.zeros(len(counts), dtype=bool)
    is_copied[list(taken)] = True
    is_copied &= counts > 1
    rows = np.flatnonzero(is_copied[distinct])
    rows = rows[np.argsort(distinct[rows], kind="stable")]
    numbers, starts = np.unique(distinct[rows], return_index=True)
    groups = np.split(positions[rows], starts[1:]) if len(numbers) else []
    return tuple(sorted(tuple(group.tolist()) for group in groups))


def _alone(example: Example) -> Example:
    """An example that does not keep in memory what it was cut out of."""
    return replace(example, ids=example.ids.copy())
