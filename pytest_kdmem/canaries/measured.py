"""What one model shows of the canaries in its training set: exposure, share found, and share recited."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.text import count
from pytest_kdmem.canaries.estimate import CANARY, CanaryEstimate, OverCanaries
from pytest_kdmem.canaries.exposure import exposures, greatest_exposure
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.mean_bounds import mean_lower_bound, upper_bound_of_mean
from pytest_kdmem.metrics.membership_estimate import Attacked, MembershipEstimate
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.roc_bounds import AttackScores, hits_at, tpr_bounds

MORE = "make more canaries and twins before the next training (kdmem canaries make --count … --twins …)"
# The one attack on canaries: the likelihood of the suffix behind its prefix.
LIKELIHOOD = "likelihood"


@dataclass(frozen=True, eq=False)
class MeasuredCanaries:
    """What a model shows of canaries. Their text is not in it.

    The bounds hold for this model, with the canaries as a sample of all strings that could have been drawn.

    Attributes:
        subject: Role or name of the model.
        manifest: Digest of the manifest.
        copies: Number of copies of each string ``[s]``; 0 of a twin.
        logprobs: Log-probability of each string's suffix after its prefix, float64 ``[s]``.
        memorized: Whether the model recites each suffix, bool ``[s]``.
        ambiguous: Whether that verdict could differ with another kernel or batch size, bool ``[s]``.
        confidence: Confidence level of each one-sided bound.
        over: Digest of the manifest and of the training set that holds the canaries.
        model_digest: Digest of the model.
    """

    subject: str
    manifest: str
    copies: npt.NDArray[np.int64]
    logprobs: Values
    memorized: Flags
    ambiguous: Flags
    confidence: float
    over: str = ""
    model_digest: str = ""

    def __bool__(self) -> bool:
        raise refused(ComparisonError("Canaries are neither true nor false; compare exposure(…) with a threshold."))

    def __repr__(self) -> str:
        planted = int((self.copies > 0).sum())
        return f"MeasuredCanaries({self.subject}: {planted} canaries, {self.twins} twins)"

    @property
    def tiers(self) -> tuple[int, ...]:
        """The numbers of copies, ascending."""
        return tuple(sorted({int(copies) for copies in self.copies if copies}))

    @property
    def twins(self) -> int:
        """Number of twins."""
        return int((self.copies == 0).sum())

    @property
    def greatest(self) -> float:
        """Exposure in bits of a canary that is more likely than every twin; no figure can be higher."""
        return greatest_exposure(self.twins)

    def exposure(self, copies: int | None = None) -> CanaryEstimate:
        """Mean exposure in bits of the canaries with that many copies; None only if all have the same number.

        Raises:
            SpecError: There are none with so many copies, or none are named of several.
        """
        if copies is None and len(self.tiers) > 1:
            raise refused(SpecError(f"A number of copies was expected of exposure, {self._choice()}: write copies=…."))
        chosen = self._chosen(copies)
        values = exposures(self.logprobs[chosen], self.logprobs[self.copies == 0])
        over = OverCanaries(values, values, self.greatest, self.twins, self.over)
        return CanaryEstimate(
            f"{CANARY} exposure{self._at(copies)}",
            self.subject,
            float(values.mean()),
            mean_lower_bound(values, self.confidence),
            upper_bound_of_mean(values, self.greatest, self.confidence),
            None,
            len(values),
            confidence=self.confidence,
            unit="bits",
            model_digest=self.model_digest,
            over=over,
        )

    def tpr(self, fpr: float = 0.01, copies: int | None = None) -> MembershipEstimate:
        """Share of canaries that a test finds that also takes a share ``fpr`` of all possible twins for canaries.

        The threshold of the test is not known but estimated from the twins, for which the bounds allow. Of strings that
        the model never saw a share ``fpr`` is found on average.

        Args:
            fpr: False positive rate of the test.
            copies: Number of copies of the canaries; None for all canaries together.

        Raises:
            SpecError: The rate is not between 0 and 1, there are fewer than 1 / ``fpr`` twins, or no canaries with so
                many copies.
        """
        if not 0 < fpr < 1:
            raise refused(SpecError(f"A false positive rate must lie between 0 and 1 (1% is 0.01); found {fpr}."))
        if self.twins * fpr < 1 - 1e-9:
            raise refused(
                SpecError(
                    f"At least {count(math.ceil(1 / fpr - 1e-9))} twins were expected to find canaries at a false"
                    f" positive rate of {100 * fpr:g}%; found {count(self.twins)}: make more twins before the next"
                    " training, or take a higher rate."
                )
            )
        scores = AttackScores(self.logprobs[self._chosen(copies)], self.logprobs[self.copies == 0], False)
        k, n = hits_at(scores, fpr), len(scores.members)
        low, high = tpr_bounds(scores, fpr, self.confidence)
        return MembershipEstimate(
            f"{CANARY} TPR at {100 * fpr:g}% FPR{self._at(copies)}",
            self.subject,
            k / n,
            low,
            high,
            k,
            n,
            confidence=self.confidence,
            model_digest=self.model_digest,
            attacked=Attacked({LIKELIHOOD: scores}, self.over, fpr, LIKELIHOOD, "canaries", "twins", MORE),
        )

    def recited(self, copies: int | None = None) -> CanaryEstimate:
        """Share of canaries whose suffix the model recites after the prefix; of all together if ``copies`` is None.

        Raises:
            SpecError: There are no canaries with so many copies.
        """
        chosen = self._chosen(copies)
        memorized, ambiguous = self.memorized[chosen], self.ambiguous[chosen]
        sure, possible = memorized & ~ambiguous, memorized | ambiguous
        counts = Counts(*map(int, (memorized.sum(), len(memorized), sure.sum(), possible.sum(), ambiguous.sum())))
        metric = f"{CANARY} recitation rate{self._at(copies)}"
        share = estimate_proportion(metric, self.subject, counts, exhaustive=False, confidence=self.confidence)
        over = OverCanaries(sure.astype(np.float64), possible.astype(np.float64), 1.0, self.twins, self.over)
        figure = CanaryEstimate(metric, self.subject, share.value, share.low, share.high, share.k, share.n, over=over)
        return replace(figure, ambiguous=share.ambiguous, confidence=self.confidence, model_digest=self.model_digest)

    def _chosen(self, copies: int | None) -> Flags:
        """The canaries with so many copies; all if None."""
        if copies is not None and (isinstance(copies, bool) or copies not in self.tiers):
            raise refused(
                SpecError(f"A number of copies of the canaries was expected, {self._choice()}; found {quoted(copies)}.")
            )
        return np.asarray(self.copies > 0 if copies is None else self.copies == copies)

    def _choice(self) -> str:
        return f"one of {', '.join(map(str, self.tiers))}" if len(self.tiers) > 1 else str(self.tiers[0])

    def _at(self, copies: int | None) -> str:
        if copies is None:
            return ""
        return f" ({copies} {'copy' if copies == 1 else 'copies'})"
