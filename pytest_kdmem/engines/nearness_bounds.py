"""How near continuations that are decoded token by token can still come to what they are compared with.

Both are n tokens long. After t tokens of a continuation, a row of Levenshtein's table holds its distance from the first
j tokens of the suffix, for each j. What is still to come is n − t tokens against the n − j others of the suffix, and
their distance lies between the difference of these two numbers and the larger one; either is reached. So the least and
the greatest distance over all ways to go on are known exactly at every token, and decoding ends where both lie on one
side of the limit. A run of equal tokens is bounded in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.specs.nearness import Nearness

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Continuations:
    """Unfinished continuations of b prefixes.

    Attributes:
        suffixes: The tokens that each is compared with ``[b, n]``.
        nearness: How near counts as near.
        tokens: Number of tokens of each continuation until now ``[b]``.
        distances: Edit distance of these from the first j tokens of the suffix ``[b, n + 1]``.
        runs: Number of last tokens that equal the last of the first j tokens of the suffix ``[b, n + 1]``.
        longest: Length of the longest run in common until now ``[b]``.
    """

    suffixes: Counts
    nearness: Nearness
    tokens: Counts
    distances: Counts
    runs: Counts
    longest: Counts

    @staticmethod
    def after_hits(suffixes: Counts, hits: Counts, nearness: Nearness) -> Continuations:
        """Continuations that begin with the first tokens of their suffixes.

        Args:
            suffixes: The suffixes ``[b, n]``.
            hits: Number of these tokens of each ``[b]``.
            nearness: How near counts as near.
        """
        size, length = suffixes.shape
        none = np.zeros(size, np.int32)
        before_all = np.broadcast_to(np.arange(length + 1, dtype=np.int32), (size, length + 1))
        begun = Continuations(suffixes, nearness, none, before_all, np.zeros_like(before_all), none)
        for place in range(int(hits.max(initial=0))):
            begun = begun._where(place < hits, begun.appended(suffixes[:, place]))
        return begun

    def appended(self, following: Counts) -> Continuations:
        """The continuations with one more token each ``[b]``."""
        places = np.arange(self.suffixes.shape[1] + 1, dtype=np.int32)
        equal = self.suffixes == following[:, None]
        tokens = self.tokens + 1
        distances = np.empty_like(self.distances)
        distances[:, 0] = tokens
        np.minimum(self.distances[:, 1:] + 1, self.distances[:, :-1] + ~equal, out=distances[:, 1:])
        # A token of the suffix that the continuation lacks costs one edit: the least over all places before.
        distances = np.minimum.accumulate(distances - places, axis=1) + places
        runs = np.zeros_like(self.runs)
        runs[:, 1:] = np.where(equal, self.runs[:, :-1] + 1, 0)
        longest = np.maximum(self.longest, runs.max(axis=1))
        return replace(self, tokens=tokens, distances=distances, runs=runs, longest=longest)

    def kept(self, is_kept: Flags) -> Continuations:
        """Some of the continuations."""
        state = (array[is_kept] for array in self._state)
        return Continuations(self.suffixes[is_kept], self.nearness, *state)

    def _where(self, is_other: Flags, other: Continuations) -> Continuations:
        """The continuations, with others in the place of some."""
        state = (
            np.where(is_other.reshape(-1, *[1] * (own.ndim - 1)), others, own)
            for own, others in zip(self._state, other._state, strict=True)
        )
        return Continuations(self.suffixes, self.nearness, *state)

    @property
    def _state(self) -> tuple[Counts, ...]:
        """What changes with every token."""
        return self.tokens, self.distances, self.runs, self.longest

    @property
    def is_near(self) -> Flags:
        """Whether each is near, however it goes on ``[b]``."""
        ahead, left = self._ahead
        near: Flags = (self.distances + np.maximum(ahead, left)).min(axis=1) <= self._edits
        return near if self.nearness.run is None else near | (self.longest >= self.nearness.run)

    @property
    def can_be_near(self) -> Flags:
        """Whether each is near if it goes on in the best way ``[b]``."""
        ahead, left = self._ahead
        can_be: Flags = (self.distances + np.abs(ahead - left)).min(axis=1) <= self._edits
        if self.nearness.run is None:
            return can_be
        longest = np.maximum(self.longest, (self.runs + np.minimum(ahead, left)).max(axis=1))
        has_run: Flags = longest >= self.nearness.run
        return can_be | has_run

    @property
    def is_decided(self) -> Flags:
        """Whether all ways to go on give each the same verdict ``[b]``; true of every one of n tokens."""
        return self.is_near | ~self.can_be_near

    @property
    def _edits(self) -> int:
        return self.nearness.edits(self.suffixes.shape[1])

    @property
    def _ahead(self) -> tuple[Counts, Counts]:
        """Number of tokens to come ``[b, 1]``, and of those of the suffix behind its first j ``[n + 1]``."""
        length = self.suffixes.shape[1]
        return (length - self.tokens)[:, None], length - np.arange(length + 1, dtype=np.int32)
