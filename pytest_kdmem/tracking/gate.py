"""The gate that a training holds of its model: the highest memorization rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_kdmem.auditing.messages import next_step, reason
from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.specs.declared import Thresholds
from pytest_kdmem.specs.gates import named_thresholds

OF_A_TRAINING = "max_memorization_rate"


@dataclass(frozen=True)
class RateGate:
    """The gate on the memorization rate, decided as in an audit: the rate's upper bound must not exceed the threshold.

    Args:
        threshold: Highest rate, between 0 and 1.
    """

    threshold: float

    @staticmethod
    def named_in(gates: Mapping[str, float] | Thresholds | None) -> RateGate | None:
        """The gate that is named; None without gates.

        Raises:
            SpecError: Another gate is named, which needs more models than a training has.
        """
        thresholds = named_thresholds({} if gates is None else gates)
        if others := [name for name in thresholds if name != OF_A_TRAINING]:
            raise SpecError(
                f"The gate {OF_A_TRAINING} was expected of a training, and {listed(others)} need an audit, which has"
                f' teacher and baseline as well: name gates={{"{OF_A_TRAINING}": …}} here, and hold the others there.'
            )
        return RateGate(thresholds[OF_A_TRAINING]) if thresholds else None

    def failure(self, rate: Estimate) -> str:
        """Why a rate does not pass, in a line; empty if it does."""
        comparison = Comparison(rate, "<=", self.threshold)
        verdict = judge(comparison)
        return "" if verdict.outcome == "pass" else reason(comparison, verdict)

    def check_size(self, subject: str, examples: int, *, exhaustive: bool, confidence: float) -> None:
        """Raise SpecError if not even a model that recites nothing could pass over so few examples."""
        none_recited = estimate_proportion(
            "memorization rate", subject, Counts(0, examples), exhaustive=exhaustive, confidence=confidence
        )
        comparison = Comparison(none_recited, "<=", self.threshold)
        verdict = judge(comparison)
        if verdict.outcome != "pass":
            raise SpecError(
                f"Enough examples to decide {OF_A_TRAINING} were expected, and the {reason(comparison, verdict)}."
                f" {next_step(comparison, verdict)}"
            )
