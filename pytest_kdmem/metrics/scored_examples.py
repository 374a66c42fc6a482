"""The distinct examples that a model was scored over, and figures of it that know where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.base.arrays import ExampleIds, Flags, Values
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.distinct_rows import DistinctRows, as_values, distinct_rows
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.unseen import UnseenCopies
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True, eq=False)
class ScoredExamples:
    """The n distinct examples of a training set that one model was scored over.

    Attributes:
        subject: Role or name of the model.
        scores: Score table of the model over the training set.
        confidence: Confidence level of each one-sided bound.
        other_set: Name of the data set if it is not one that the audit declares, otherwise empty.
        set_name: Name of the set, as `Estimate.set_name`; empty for a training set.
        unseen: What of the set no model was asked for; None outside of audits, and of a control set.
    """

    subject: str
    scores: ScoreTable
    confidence: float = 0.95
    other_set: str = ""
    set_name: str = ""
    unseen: UnseenCopies | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """Name of the model in reports, with the name of the data set if it is not one that the audit declares."""
        return f"{self.subject} on {self.other_set}" if self.other_set else self.subject

    @cached_property
    def distinct_rows(self) -> DistinctRows:
        """The rows of the n distinct scored examples, in the order of their first copies."""
        return distinct_rows(self.scores.rows)

    @property
    def example_ids(self) -> ExampleIds:
        """Positions in the training set of the distinct scored examples, int64 ``[n]``."""
        ids: ExampleIds = self.scores.rows["example_id"].to_numpy()[self.distinct_rows.is_first]
        return ids

    def _ids(self, flags: Flags) -> list[int]:
        ids: list[int] = self.example_ids[flags].tolist()
        return ids

    @cached_property
    def copies(self) -> npt.NDArray[np.int64]:
        """Number of copies in the training set of each distinct scored example, int64 ``[n]``."""
        if not self.is_drawn:
            return self.distinct_rows.copies
        numbers = {positions[0]: len(positions) for positions in self.scores.record.copies}
        return np.array([numbers.get(position, 1) for position in self.example_ids.tolist()], dtype=np.int64)

    @property
    def is_drawn(self) -> bool:
        """Whether the rows are a sample, which holds each distinct example once, though it may hold all of them."""
        return self.scores.training_set.sample is not None or not self.scores.record.exhaustive

    @property
    def too_short(self) -> int:
        """Number of examples shorter than prefix + suffix, which no rate includes."""
        return self.scores.record.too_short

    @property
    def duplicates(self) -> int:
        """Number of scored rows that are exact copies of an earlier row."""
        return len(self.distinct_rows.further)

    def proportion(self, metric: str, counts: Counts) -> Estimate:
        """Estimate the share of examples that are hits, as a figure of this model."""
        exhaustive = self.scores.record.exhaustive
        estimate = estimate_proportion(metric, self.label, counts, exhaustive=exhaustive, confidence=self.confidence)
        return replace(self._of_model(estimate), not_shown=self.not_shown)

    @property
    def not_shown(self) -> Verdict | None:
        """Verdict of comparisons of what is recited, if something stands often that was not looked at; else None."""
        return self.unseen.verdict() if self.unseen is not None else None

    def _of_model(self, estimate: Estimate) -> Estimate:
        return replace(
            estimate, too_short=self.too_short, set_name=self.set_name, model_digest=self.scores.checkpoint.digest
        )

    def column(self, name: str) -> Values:
        """Return a metric of each distinct example, float64 ``[n]``, read at its first copy.

        Raises:
            SpecError: Only verdicts were scored.
        """
        return as_values(self._scored_column(name))

    def _scored_column(self, name: str) -> pa.ChunkedArray:
        rows = self.scores.rows
        values = self.distinct_rows.at_first(rows[name]) if name in rows.column_names else None
        if values is None or values.null_count:
            raise refused(
                SpecError(
                    f"Column {name} was expected of {self.subject}, and only verdicts were scored;"
                    ' ask for memorization(…, metrics="all").'
                )
            )
        return values
