"""The right-hand side of ``rate <= accepted``: requires a metric to be no worse than its accepted value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from pytest_kdmem.auditing.regression.compare import metric_change, no_worse_operator
from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.auditing.regression.verdict import RegressionVerdict, accepted_limit, judge_change
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import ComparesItself, Comparison, Estimate
from pytest_kdmem.metrics.recorder import record, refused


@dataclass(frozen=True, eq=False)
class Accepted(ComparesItself):
    """The accepted metrics of an audit. An estimate is compared with the accepted value of its metric and subject.

    ``accepted + 0.001`` allows a rate or ratio to be so much worse, ``accepted - 0.2`` a reduction.

    Attributes:
        metrics: Accepted metrics; empty if none were accepted.
        measure: Returns the metrics of this run.
        updating: Whether this run accepts its own metrics, whatever they are.
        allowed: Distance that an estimate may lie beyond its accepted bound.
    """

    metrics: Sequence[TrackedMetric]
    measure: Callable[[], Sequence[TrackedMetric]]
    updating: bool = False
    allowed: float = 0.0

    def __bool__(self) -> NoReturn:
        raise refused(
            ComparisonError("Accepted figures are neither true nor false; compare with them: `rate <= accepted`.")
        )

    def __repr__(self) -> str:
        return f"Accepted({len(self.metrics)} figures)"

    def __add__(self, allowed: float) -> Accepted:
        if not math.isfinite(float(allowed)):
            raise SpecError(
                f"A finite number was expected to be allowed beyond what was accepted; found {quoted(allowed)}."
            )
        return replace(self, allowed=self.allowed + float(allowed))

    def __sub__(self, allowed: float) -> Accepted:
        return self + -allowed

    # `estimate <= accepted` calls `accepted >= estimate`, as an estimate does not know how to compare with this.
    def __ge__(self, estimate: Estimate) -> bool:
        return self._holds(estimate, "<=")

    def __gt__(self, estimate: Estimate) -> bool:
        return self._holds(estimate, "<")

    def __le__(self, estimate: Estimate) -> bool:
        return self._holds(estimate, ">=")

    def __lt__(self, estimate: Estimate) -> bool:
        return self._holds(estimate, ">")

    def _holds(self, estimate: Estimate, operator: Operator) -> bool:
        try:
            comparison = self.compare(estimate, operator)
        except SpecError as error:
            raise refused(error) from None
        record(comparison)
        return comparison.verdict is not None and comparison.verdict.outcome == "pass"

    def compare(self, estimate: Estimate, operator: Operator) -> Comparison:
        """Compare an estimate with the accepted value of its metric and subject.

        Raises:
            SpecError: The comparison has the wrong direction or allows too much, the estimate is not one that the
                report of this audit holds, or there is no comparable accepted value.
        """
        self._check_direction(estimate, operator)
        measured = self._measured(estimate)
        if self.updating:
            return Comparison(estimate, operator, estimate.bound_for(operator), RegressionVerdict("pass")).held_back()
        accepted = _with_key(self.metrics, estimate)
        if accepted is None:
            raise SpecError(
                f"An accepted {estimate.name} was expected, and there is none; accept that of"
                " this run with --kdmem-update-baseline-file."
            )
        change = metric_change(accepted, measured)
        if change.outcome == "refused":
            raise SpecError(
                f"{estimate.name[:1].upper()}{estimate.name[1:]} cannot be compared with what was accepted:"
                f" {change.reason}; audit with the same settings as then, or accept this run's figure with"
                " --kdmem-update-baseline-file."
            )
        limit = accepted_limit(accepted, self.allowed)
        return Comparison(estimate, operator, limit, judge_change(change, limit)).held_back()

    def _check_direction(self, estimate: Estimate, operator: Operator) -> None:
        """Raise SpecError for a comparison in the wrong direction, or one that allows too much."""
        expected = no_worse_operator(estimate.metric)
        if operator != expected or self.allowed * (1 if expected == "<=" else -1) < 0:
            written = "accepted, or accepted " + ("+" if expected == "<=" else "-")
            raise SpecError(
                f"No worse than accepted was expected of {estimate.metric}: write {expected} {written} what may be"
                " allowed."
            )
        if estimate.unit == "proportion" and abs(self.allowed) >= 1:
            raise SpecError(
                f"What may be allowed beyond an accepted {estimate.metric} lies between 0 and 1 (5% is 0.05); found"
                f" {self.allowed:g}."
            )

    def _measured(self, estimate: Estimate) -> TrackedMetric:
        """The metric of this run that an estimate is the value of.

        Raises:
            SpecError: There is none, or its value is another one.
        """
        measured = _with_key(self.measure(), estimate)
        if measured is None:
            raise SpecError(
                f"A figure that can be accepted was expected, and {estimate.name} is none:"
                " these are rates over training sets, inheritance ratio, reduction, share at risk, held-out loss, and"
                " figures of membership and of canaries."
            )
        if measured.estimate.to_json() != estimate.to_json():
            raise SpecError(
                f"The {estimate.name} that this audit reports was expected"
                f" ({measured.estimate}), and another was compared ({estimate}): only what is taken over the audit's"
                " own sets and models can be held against what was accepted; hold this one against a number."
            )
        return measured


def _with_key(metrics: Sequence[TrackedMetric], estimate: Estimate) -> TrackedMetric | None:
    """The tracked metric of an estimate's metric and subject, if there is one."""
    return next((metric for metric in metrics if metric.key == (estimate.metric, estimate.subject)), None)
