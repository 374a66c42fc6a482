"""Which examples a model memorized, with the range that ambiguous verdicts allow, as sets that can be intersected."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.metrics.bounds import PairedCounts
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.subsets import Subset


@dataclass(frozen=True)
class MemorizedFlags:
    """Whether a model memorized each of n examples, with the range that ambiguous verdicts allow.

    Attributes:
        memorized: Verdicts as observed, bool ``[n]``.
        sure: Memorized whatever the kernel and batch size, bool ``[n]``.
        possible: Memorized if every ambiguous verdict counts as memorized, bool ``[n]``.
    """

    memorized: Flags
    sure: Flags
    possible: Flags

    @staticmethod
    def from_memorization(memorization: Memorization) -> MemorizedFlags:
        """Return the flags of a model's distinct examples."""
        return MemorizedFlags(*map(memorization.flags, FLAG_COLUMNS))

    @staticmethod
    def of_subset(subset: Subset) -> MemorizedFlags:
        """Return the flags of some of a model's distinct examples."""
        return MemorizedFlags(subset.memorized, subset.sure, subset.possible)

    @staticmethod
    def unambiguous(memorized: Flags) -> MemorizedFlags:
        """Return flags without an ambiguous verdict."""
        return MemorizedFlags(memorized, memorized, memorized)

    @property
    def by_column(self) -> dict[FlagColumn, Flags]:
        """The flags by the names of their columns."""
        return {"memorized": self.memorized, "sure": self.sure, "possible": self.possible}

    def __and__(self, second: MemorizedFlags) -> MemorizedFlags:
        """Return the examples that both models memorized."""
        return MemorizedFlags(
            self.memorized & second.memorized, self.sure & second.sure, self.possible & second.possible
        )

    def __sub__(self, second: MemorizedFlags) -> MemorizedFlags:
        """Return the examples that this model memorized and the second did not."""
        return MemorizedFlags(
            self.memorized & ~second.memorized, self.sure & ~second.possible, self.possible & ~second.sure
        )

    @property
    def ambiguous(self) -> Flags:
        """Examples whose verdict could fall either way, bool ``[n]``."""
        return self.possible & ~self.sure


def count_pairs(first: Flags, second: Flags) -> PairedCounts:
    """Count the examples that both, only the first and only the second model memorized, from flags ``[n]``."""
    return PairedCounts(*(int(cell.sum()) for cell in (first & second, first & ~second, ~first & second)))
