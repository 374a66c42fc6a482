"""Comparison of a score table's verdicts with those of independent engine checks over some of its rows.

An engine check is one engine by one method: ``scored``, a second pass over the rows, or ``decoded``, greedy decoding
from their prefixes. This module holds the values and the comparison; `scoring.confirm` runs the engines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.check_sample import CheckSample

Method = Literal["scored", "decoded"]


@dataclass(frozen=True, eq=False)
class EngineVerdicts:
    """One engine check's verdicts ``[n]`` on the sampled rows, and its margins ``[n]`` in logits, NaN where unknown."""

    engine: str
    method: Method
    memorized: Flags
    margins: Values


@dataclass(frozen=True)
class Disagreement:
    """An example on which an engine check contradicts the table.

    Attributes:
        expected: The table's verdict: memorized or not.
        observed: The engine check's verdict.
        ambiguous: Whether the table calls the example ambiguous.
        margin: The table's margin in logits; if unknown, the margin farthest from zero of the checks that scored it;
            None if no check knows it.
    """

    example_id: int
    expected: bool = field(metadata={"json": "claimed"})
    observed: bool = field(metadata={"json": "found"})
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class EngineCheck:
    """The outcome of one engine by one method over ``checked`` examples."""

    engine: str
    method: Method = field(metadata={"json": "way"})
    checked: int
    disagreements: tuple[Disagreement, ...]

    def __str__(self) -> str:
        return f"{self.engine} {self.method}"

    @property
    def outside_band(self) -> tuple[Disagreement, ...]:
        """Disagreements on examples that the table does not call ambiguous."""
        return tuple(disagreement for disagreement in self.disagreements if not disagreement.ambiguous)


@dataclass(frozen=True)
class Confirmation:
    """The outcome of all engine checks of one score table.

    Attributes:
        examples: Number of distinct scored examples in the table.
        ambiguous: Number of these that are ambiguous.
        checked: Number of examples that every engine check was run on.
        ambiguous_checked: Number of these that are ambiguous.
        engine_checks: The outcome of each engine by each method.
        claimed_tolerance: Half the width of the run's ambiguous band, in logits.
        greatest_difference: Largest difference, in logits, between two margins of one example, the table's margin
            included; None if no example has two known margins.
    """

    examples: int
    ambiguous: int
    checked: int
    ambiguous_checked: int
    engine_checks: tuple[EngineCheck, ...] = field(metadata={"json": "witnesses"})
    claimed_tolerance: float
    greatest_difference: float | None

    @property
    def implied_tolerance(self) -> float | None:
        """The least power of two, in logits, that covers the greatest difference and every disagreement's margin.

        It is 0 if all margins are the same to the last bit, and None if no margin is known twice and no disagreement
        has a known margin.
        """
        magnitudes = [
            abs(disagreement.margin)
            for check in self.engine_checks
            for disagreement in check.disagreements
            if disagreement.margin is not None
        ]
        if self.greatest_difference is not None:
            magnitudes.append(self.greatest_difference)
        return power_of_two_above(max(magnitudes)) if magnitudes else None

    @property
    def within_claimed_tolerance(self) -> bool:
        """Whether the claimed tolerance is at least the implied one."""
        return (self.implied_tolerance or 0.0) <= self.claimed_tolerance

    @property
    def outside_band(self) -> int:
        """Number of disagreements on examples that the table does not call ambiguous, over all engine checks."""
        return sum(len(check.outside_band) for check in self.engine_checks)

    def warnings(self, subject: str) -> list[str]:
        """What engines that agree tell all the same, in sentences."""
        if self.within_claimed_tolerance:
            return []
        return [
            f"{subject}: margins differ by more than the tolerance that its run claimed; audit with --kdmem-dtype"
            " float32 if ambiguous examples matter"
        ]

    def check(self, subject: str) -> None:
        """Raise EngineError if an engine disagrees outside the ambiguous band, or if nothing was checked."""
        if not self.checked or not self.engine_checks:
            raise EngineError(
                f"Examples to confirm the scores of {subject} with were expected, and none was checked; audit without"
                " --kdmem-confirm, or over a set with examples that are long enough."
            )
        failed = [check for check in self.engine_checks if check.outside_band]
        if failed:
            check, others = failed[0], len(failed) - 1
            first = check.outside_band[0]
            margin = f"margin {first.margin:.3g}" if first.margin is not None else "margin unknown"
            also = f"; {others} of the other engine checks differ{'s' * (others == 1)} as well" if others else ""
            raise EngineError(
                f"Verdicts on {subject} were expected to be confirmed outside the ambiguous band of"
                f" {self.claimed_tolerance:.3g} logits, and {check} differs on {len(check.outside_band)} of"
                f" {self.checked} examples (first: example {first.example_id}, {margin}){also}: try"
                " --kdmem-dtype float32, or another --kdmem-engine."
            )

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = to_json(self)
        return content

    @staticmethod
    def from_json(content: Any) -> Confirmation:
        """Decode what `to_json` made.

        Raises:
            TypeError, ValueError: The content is something else.
        """
        return from_json(Confirmation, content)


def compare_verdicts(
    sample: CheckSample, engine_verdicts: Sequence[EngineVerdicts], *, tolerance: float
) -> Confirmation:
    """Compare the table's verdicts with those of every engine check.

    Args:
        sample: The table's verdicts on the sampled rows.
        engine_verdicts: Each engine check's verdicts on these rows, in the same order.
        tolerance: Half the width of the run's ambiguous band, in logits.
    """
    margins = np.stack([_table_margins(sample), *(verdicts.margins for verdicts in engine_verdicts)])
    margins[~np.isfinite(margins)] = np.nan
    return Confirmation(
        examples=sample.examples,
        ambiguous=sample.ambiguous,
        checked=len(sample.rows),
        ambiguous_checked=sum(expected.ambiguous for expected in sample.rows),
        engine_checks=tuple(_engine_check(sample, verdicts, margins) for verdicts in engine_verdicts),
        claimed_tolerance=tolerance,
        greatest_difference=_greatest_difference(margins),
    )


def _table_margins(sample: CheckSample) -> Values:
    margins = [math.nan if expected.margin is None else expected.margin for expected in sample.rows]
    return np.array(margins, dtype=np.float64)


def _greatest_difference(margins: npt.NDArray[np.float64]) -> float | None:
    """The largest spread of one example's margins ``[sources, examples]``, among those known twice or more."""
    known_twice = margins[:, np.isfinite(margins).sum(axis=0) >= 2]
    if not known_twice.size:
        return None
    return float((np.nanmax(known_twice, axis=0) - np.nanmin(known_twice, axis=0)).max())


def _engine_check(sample: CheckSample, verdicts: EngineVerdicts, margins: npt.NDArray[np.float64]) -> EngineCheck:
    disagreements = tuple(
        Disagreement(
            expected.example_id, expected.memorized, bool(observed), expected.ambiguous, _reported_margin(column)
        )
        for expected, observed, column in zip(sample.rows, verdicts.memorized, margins.T, strict=True)
        if observed != expected.memorized
    )
    return EngineCheck(verdicts.engine, verdicts.method, len(verdicts.memorized), disagreements)


def _reported_margin(margins: Values) -> float | None:
    """Of one example's margins, the table's first: the table's own, else the one farthest from zero, else None."""
    if np.isfinite(margins[0]):
        return float(margins[0])
    finite = margins[np.isfinite(margins)]
    return float(finite[np.abs(finite).argmax()]) if len(finite) else None


def power_of_two_above(value: float) -> float:
    """The least power of two that is at least a finite ``value`` of 0 or more; 0 for 0."""
    mantissa, exponent = math.frexp(value)  # value = mantissa · 2**exponent, mantissa in [0.5, 1)
    return math.ldexp(0.5 if mantissa == 0.5 else math.ceil(mantissa), exponent)
