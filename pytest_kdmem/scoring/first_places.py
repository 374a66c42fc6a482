"""An index of the rows at which the distinct examples of a run lie first, in 16 bytes for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Prefixes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def digest_prefixes(digests: Sequence[str]) -> Prefixes:
    """The first 64 bits of hex digests ``[n]``; different digests may share them."""
    return np.frombuffer(bytes.fromhex("".join(digest[:16] for digest in digests)), ">u8").astype(np.uint64)


class FirstPlaces:
    """Numbers of rows by the first 64 bits of their digests.

    They lie in sorted segments, each more than twice as long as the next. So a look-up searches few of them, and an
    entry is moved few times.
    """

    def __init__(self) -> None:
        self._segments: list[tuple[Prefixes, Places]] = []

    def __len__(self) -> int:
        return sum(len(prefixes) for prefixes, _ in self._segments)

    def find(self, prefixes: Prefixes) -> Places:
        """The place ``[n]`` that each of the prefixes was added with, −1 for one that was not added."""
        places = np.full(len(prefixes), -1, dtype=np.int64)
        for segment, segment_places in self._segments:
            at = np.minimum(np.searchsorted(segment, prefixes), len(segment) - 1)
            held = segment[at] == prefixes
            places[held] = segment_places[at[held]]
        return places

    def add(self, prefixes: Prefixes, places: Places) -> None:
        """Add prefixes, which must be new and distinct, with their places."""
        if not len(prefixes):
            return
        order = np.argsort(prefixes)
        self._segments.append((prefixes[order], places[order]))
        while len(self._segments) > 1 and len(self._segments[-2][0]) <= 2 * len(self._segments[-1][0]):
            second, first = self._segments.pop(), self._segments.pop()
            self._segments.append(_merged(first, second))


def _merged(first: tuple[Prefixes, Places], second: tuple[Prefixes, Places]) -> tuple[Prefixes, Places]:
    """Two segments as one, in no more memory than it needs itself and one integer for each entry of the second."""
    from_second = np.searchsorted(first[0], second[0]) + np.arange(len(second[0]))
    from_first = np.ones(len(first[0]) + len(second[0]), dtype=bool)
    from_first[from_second] = False
    prefixes, places = np.empty(len(from_first), np.uint64), np.empty(len(from_first), np.int64)
    for merged, first_values, second_values in zip((prefixes, places), first, second, strict=True):
        merged[from_first], merged[from_second] = first_values, second_values
    return prefixes, places
