"""The estimates of canaries: means over those with one number of copies, as a sample of all strings of their draw."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pytest_kdmem.base.arrays import Values
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Estimate, satisfies
from pytest_kdmem.metrics.mean_bounds import upper_bound_of_mean
from pytest_kdmem.metrics.membership_estimate import BOUND_MISSES
from pytest_kdmem.metrics.verdict import Verdict

# What the names of all metrics of canaries begin with.
CANARY = "canary"
ONE_MODEL = "Both sides are figures of the same model: check both."


@dataclass(frozen=True, eq=False)
class OverCanaries:
    """What an estimate of canaries was taken over.

    Attributes:
        least, most: What each canary adds to the mean ``[c]``, at least and at most; they differ where it is ambiguous.
        greatest: The most that a canary can add.
        twins: Number of twins.
        digest: Digest of the canaries and of the training set that holds them, which both sides of a comparison share.
    """

    least: Values
    most: Values
    greatest: float
    twins: int
    digest: str


@dataclass(frozen=True, eq=False)
class CanaryEstimate(Estimate):
    """An estimate over canaries, which knows what it was taken over.

    Held against that of another model, the same canaries are compared one by one: the mean of their differences is
    bounded whatever its distribution (`mean_bounds`).

    Attributes:
        over: What it was taken over; not in JSON.
    """

    over: OverCanaries | None = field(default=None, repr=False, metadata={"json": None})

    def mismatch(self, threshold: Estimate | float) -> str:
        if not isinstance(threshold, Estimate):
            return super().mismatch(threshold) or self._beyond_reach(threshold)
        other = threshold.over if isinstance(threshold, CanaryEstimate) else None
        if self.over is None or other is None or self.metric != threshold.metric:
            return (
                f"The {self.metric} of another model was expected to compare that of {self.subject} with; found"
                f" {threshold.metric} of {threshold.subject}."
            )
        if self.over.digest != other.digest:
            return (
                f"The same canaries in the same training set were expected of {self.subject} and {threshold.subject},"
                f" and their {self.metric} is over others; measure both models alike."
            )
        return ""

    def _beyond_reach(self, threshold: float) -> str:
        """Why no exposure can exceed a threshold, which would pass whatever the model shows; empty if one can."""
        if self.unit != "bits" or self.over is None or threshold < self.over.greatest:
            return ""
        return (
            f"A threshold of {self.metric} below {self.format_value(self.over.greatest)} was expected, as"
            f" {count(self.over.twins)} twins can show no more; found {threshold:g}: lower it, or make more twins"
            " before the next training (kdmem canaries make --twins)."
        )

    def verdict_against(self, operator: Operator, threshold: Estimate | float) -> Verdict | None:
        """Return the paired verdict against another model, and what to do about a number that a bound misses."""
        if isinstance(threshold, CanaryEstimate):
            return self._paired_verdict(operator, threshold)
        if self.over is None or isinstance(threshold, Estimate) or satisfies(self, operator, threshold):
            return None
        needed = _canaries_needed(threshold / self.over.greatest, self.confidence)
        if self.n < needed and self.low <= threshold:
            remedy = (
                f"{count(int(needed))} canaries with as many copies could show it: make that many before the next"
                f" training (kdmem canaries make --count {int(needed)})."
                if math.isfinite(needed)
                else "No number of canaries can show it."
            )
            return Verdict(
                "inconclusive", basis=f"because no result over {count(self.n)} canaries could show it", remedy=remedy
            )
        return Verdict("fail", remedy=_MORE) if self.value <= threshold else None

    def _paired_verdict(self, operator: Operator, other: CanaryEstimate) -> Verdict:
        """Return whether the data show that the one model exposes no more than the other, canary by canary."""
        first, second = (self, other) if operator in ("<=", "<") else (other, self)
        if first.over is None or second.over is None or first.model_digest == second.model_digest:
            return Verdict("inconclusive", defined=False, remedy=ONE_MODEL)
        greatest, basis = first.over.greatest, f"paired over the same {count(self.n)} canaries"
        differences = first.over.most - second.over.least
        bound = upper_bound_of_mean(differences + greatest, 2 * greatest, self.confidence) - greatest
        if bound <= 0:
            return Verdict("pass", basis=basis)
        return Verdict("fail", basis=basis, remedy=_MORE if first.value <= second.value else "")

    @property
    def counts(self) -> str:
        return super().counts if self.k is not None else f"{count(self.n)} canaries"


_MORE = f"{BOUND_MISSES}: make more canaries before the next training (kdmem canaries make --count)."


def _canaries_needed(share: float, confidence: float) -> float:
    """Return of how many canaries that add nothing the upper bound is a share of the most that each could add."""
    if share <= 0:
        return math.inf
    return math.ceil(math.log(1 - confidence) / math.log1p(-share)) if share < 1 else 1
