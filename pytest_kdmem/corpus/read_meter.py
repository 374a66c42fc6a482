"""Measures how much of a source is read, to estimate how many examples it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")

# Below this share a few long documents would decide the estimate.
LEAST_SHARE = 0.01


class ReadMeter:
    """The share of a source that is read, as its files are read one after another.

    Readers set it, maybe in another thread; it changes nothing of what they read.
    """

    def __init__(self) -> None:
        self._files, self._file, self._in_file = 1, 0, 0.0

    def begin_file(self, number: int, files: int) -> None:
        """Begin a file, by its number from 0, of several that count alike."""
        self._file, self._files, self._in_file = number, files, 0.0

    def set_share(self, share: float) -> None:
        """Set the share of the file that is read."""
        self._in_file = min(1.0, share)

    def counted(self, items: Iterator[Item], total: int) -> Iterator[Item]:
        """The items of a file, whose share is known by their number."""
        for number, item in enumerate(items):
            self.set_share(number / max(1, total))
            yield item

    @property
    def share(self) -> float:
        """The share of the source that is read; 0 if no reader tells it."""
        return (self._file + self._in_file) / self._files

    def estimate(self, examples: int) -> int | None:
        """The number of examples of the whole source, from those of what is read; None if too little is."""
        return round(examples / self.share) if self.share >= LEAST_SHARE and examples else None
