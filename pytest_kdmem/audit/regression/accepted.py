"""What audits compare with to be no worse than what was accepted: ``rate <= accepted``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from pytest_kdmem.audit.regression.compare import RegressionVerdict, drift, limit_of, no_worse, verdict_of
from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.estimate import Comparison, Estimate, Operator, record


@dataclass(frozen=True, eq=False)
class Accepted:
    """The accepted figures of an audit: an estimate compared with it meets the one of its own metric and subject.

    ``accepted + 0.001`` allows a rate or ratio to be so much worse, ``accepted - 0.2`` a reduction.

    Attributes:
        figures: accepted; empty where nothing was.
        found: gives the figures of this run.
        updating: this run's figures are accepted, whatever they are.
        allowed: beyond the accepted bound.
    """

    figures: Sequence[TrackedMetric]
    found: Callable[[], Sequence[TrackedMetric]]
    updating: bool = False
    allowed: float = 0.0

    def __bool__(self) -> NoReturn:
        raise ComparisonError("Accepted figures are neither true nor false; compare with them: `rate <= accepted`.")

    def __repr__(self) -> str:
        return f"Accepted({len(self.figures)} figures)"

    def __add__(self, allowed: float) -> Accepted:
        if not math.isfinite(float(allowed)):
            raise SpecError(f"A finite number was expected to be allowed beyond what was accepted; found {allowed!r}.")
        return replace(self, allowed=self.allowed + float(allowed))

    def __sub__(self, allowed: float) -> Accepted:
        return self + -allowed

    # Python asks the right-hand side where an estimate does not know what it is compared with, turned round.
    def __ge__(self, estimate: Estimate) -> bool:
        return self._meets(estimate, "<=")

    def __gt__(self, estimate: Estimate) -> bool:
        return self._meets(estimate, "<")

    def __le__(self, estimate: Estimate) -> bool:
        return self._meets(estimate, ">=")

    def __lt__(self, estimate: Estimate) -> bool:
        return self._meets(estimate, ">")

    def _meets(self, estimate: Estimate, operator: Operator) -> bool:
        comparison = self.compare(estimate, operator)
        record(comparison)
        return comparison.verdict is not None and comparison.verdict.outcome == "pass"

    def compare(self, estimate: Estimate, operator: Operator) -> Comparison:
        """Compare an estimate with the accepted figure of its metric and subject.

        Raises:
            SpecError: it is compared the wrong way round, with too much allowed, is not what the audit's report will
                tell, or nothing comparable was accepted.
        """
        wanted = no_worse(estimate.metric)
        if operator != wanted or self.allowed * (1 if wanted == "<=" else -1) < 0:
            way = "accepted, or accepted " + ("+" if wanted == "<=" else "-")
            raise SpecError(
                f"No worse than accepted was expected of {estimate.metric}: write {wanted} {way} what may be allowed."
            )
        if estimate.unit == "proportion" and abs(self.allowed) >= 1:
            raise SpecError(
                f"What may be allowed beyond an accepted {estimate.metric} lies between 0 and 1 (5% is 0.05); found"
                f" {self.allowed:g}."
            )
        key = (estimate.metric, estimate.subject)
        found = next((figure for figure in self.found() if figure.key == key), None)
        if found is None:
            raise SpecError(
                f"A figure that can be accepted was expected, and {estimate.metric} of {estimate.subject} is none:"
                " these are rates over training sets, inheritance ratio, reduction, share at risk and held-out loss."
            )
        if found.estimate.to_json() != estimate.to_json():
            raise SpecError(
                f"The {estimate.metric} of {estimate.subject} that this audit reports was expected"
                f" ({found.estimate}), and another was compared ({estimate}): only what is taken over the audit's own"
                " sets and models can be held against what was accepted; hold this one against a number."
            )
        if self.updating:
            return Comparison(estimate, operator, estimate.bound_for(wanted), RegressionVerdict("pass"))
        known = next((figure for figure in self.figures if figure.key == key), None)
        if known is None:
            raise SpecError(
                f"An accepted {estimate.metric} of {estimate.subject} was expected, and there is none; accept"
                " this run's by --kdmem-update-baseline-file."
            )
        entry = drift(known, found)
        if entry.outcome == "refused":
            raise SpecError(
                f"{estimate.metric.capitalize()} of {estimate.subject} cannot be held against what was accepted:"
                f" {entry.reason}; audit as then, or accept this run's by --kdmem-update-baseline-file."
            )
        limit = limit_of(known, self.allowed)
        return Comparison(estimate, operator, limit, verdict_of(entry, limit))
