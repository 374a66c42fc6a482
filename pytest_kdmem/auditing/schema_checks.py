"""Entries of an audit's result that check its metrics: by other engines, and against accepted values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_kdmem.metrics.estimate import Estimate


@dataclass(frozen=True)
class EngineCheckEntry:
    """An engine that checked verdicts.

    Attributes:
        engine: Name of the engine.
        method: ``scored`` by its own forward pass, or ``decoded`` by its greedy decoding.
        checked: Number of examples.
    """

    engine: str
    method: str = field(metadata={"json": "way"})
    checked: int


@dataclass(frozen=True)
class ConfirmationEntry:
    """Verdicts of a run compared with those of other engines. What is None was not in the first reports.

    Attributes:
        checked: Number of examples that were checked.
        ambiguous_checked: Number of these that are ambiguous.
        disagreements: Examples with another verdict, each with the engine that disagrees.
        engine_checks: Engines and methods; empty in the first reports, whose only check decoded the examples.
        ambiguous: Number of ambiguous examples in the set.
        claimed_tolerance: Half the width of the run's ambiguous band, in logits.
        implied_tolerance: Tolerance that would cover all differences seen, in logits.
        greatest_difference: Largest difference between two margins of one example, in logits.
    """

    checked: int
    ambiguous_checked: int
    disagreements: tuple[dict[str, Any], ...]
    engine_checks: tuple[EngineCheckEntry, ...] = field(default=(), metadata={"json": "witnesses"})
    ambiguous: int | None = None
    claimed_tolerance: float | None = None
    implied_tolerance: float | None = None
    greatest_difference: float | None = None


@dataclass(frozen=True)
class MetricChange:
    """A metric compared with its accepted value over the same examples.

    Attributes:
        metric: Name of the metric.
        subject: Role or name of the model that was measured.
        accepted: Accepted value; None if there is none.
        measured: Measured value; None if there is none.
        newly: Number of examples that count now and did not before; None if the metric counts no examples.
        no_longer: Number of examples that counted before and do not now; None if the metric counts no examples.
        newly_examples: Ids of the examples that count now and did not before.
        difference: measured − accepted.
        low, high: Bounds of the difference, at the confidence of the estimates.
        p_value: Exact one-sided McNemar test that the metric grew worse.
        outcome: ``undecided`` if chance could explain that it grew worse; ``new`` or ``unused`` if one side has no
            value; ``refused`` if the two values are not comparable.
        reason: Reason for the outcome, in a sentence.
    """

    metric: str
    subject: str
    accepted: Estimate | None
    measured: Estimate | None = field(metadata={"json": "found"})
    newly: int | None
    no_longer: int | None
    newly_examples: tuple[int, ...]
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    outcome: Literal["better", "same", "worse", "undecided", "new", "unused", "refused"]
    reason: str

    @property
    def name(self) -> str:
        """What was measured of which model, and over which set, if that is not the audit's own training set."""
        value = self.accepted if self.measured is None else self.measured
        return f"{self.metric} of {self.subject if value is None else value.on_set(self.subject)}"
