"""What a model recites nearly verbatim: all that it recites, and what it recites but for a few edits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.specs.nearness import Nearness


@dataclass(frozen=True, eq=False)
class NearVerbatim:
    """The distinct examples whose greedy continuation is near the suffix.

    Attributes:
        memorization: What the model recites exactly.
        rows: Verdicts by `scoring.near_verbatim.NEAR_SCHEMA`, a row for each of the memorization's scores.
        nearness: How near counts as near.
    """

    memorization: Memorization
    rows: pa.Table
    nearness: Nearness

    def __bool__(self) -> bool:
        raise ComparisonError("Near-verbatim recitation is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"NearVerbatim({self.memorization.subject}: {self.rate})"

    @cached_property
    def flags(self) -> MemorizedFlags:
        """Whether each of the n distinct examples is recited nearly; what is recited exactly is."""
        near, ambiguous = self.rows["near"], self.rows["ambiguous"]
        exact = self.memorization.flags
        of_any_copy = self.memorization.distinct_rows.of_any_copy
        return MemorizedFlags(
            of_any_copy(near) | exact("memorized"),
            of_any_copy(pc.and_(near, pc.invert(ambiguous))) | exact("sure"),
            of_any_copy(pc.or_(near, ambiguous)) | exact("possible"),
        )

    @property
    def rate(self) -> Estimate:
        """Number of examples that are recited nearly / number of distinct scored examples."""
        metric = f"near-verbatim rate {self.nearness}"
        return self.memorization.rate_of(metric, self.flags.by_column, len(self.flags.memorized))

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the examples that are recited nearly, each that of its first copy."""
        return self._ids(self.flags.memorized)

    @property
    def ambiguous_examples(self) -> list[int]:
        """Positions of the examples whose verdict could differ with another kernel or batch size."""
        return self._ids(self.flags.ambiguous)

    def _ids(self, flags: Flags) -> list[int]:
        ids: list[int] = self.memorization.example_ids[flags].tolist()
        return ids
