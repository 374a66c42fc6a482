"""How far a model prefers canaries that it was trained on over twins that it never saw.

Exposure is Carlini et al.'s (The Secret Sharer, 2019, section 4): log2 of the number of possible strings less log2 of
the canary's rank among them by its likelihood, where the possible strings are a random sample of them, the twins. Of t
twins and the canary itself, rank r gives log2((t + 1) / r): at most log2(t + 1), and 1 / ln 2 = 1.44 on average if the
canary is nothing but one more twin. The canary's suffix is scored behind its prefix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.mean_bounds import mean_lower_bound, upper_bound_of_mean


@dataclass(frozen=True)
class TierFigures:
    """What a model shows of the canaries with one number of copies.

    Attributes:
        copies: The number of copies.
        exposure: Mean exposure of these canaries in bits.
        tpr: Share of these canaries that a test finds which takes a share ``fpr`` of twins for canaries.
        recited: Share of these canaries whose suffix the model recites behind the prefix.
        greatest: Exposure of a canary that is likelier than every twin, in bits.
        fpr: False positive rate of the test.
    """

    copies: int
    exposure: Estimate
    tpr: Estimate
    recited: Estimate
    greatest: float
    fpr: float


def ranks(canaries: Values, twins: Values) -> Values:
    """Rank of each canary ``[c]`` among the twins ``[t]`` by log-probability, from 1; it comes first of a tie."""
    behind = np.searchsorted(np.sort(twins), canaries, side="right")
    return np.asarray(1 + len(twins) - behind, np.float64)


def tier_figures(
    copies: int,
    canaries: Values,
    twins: Values,
    recited: Flags,
    *,
    subject: str,
    fpr: float = 0.01,
    confidence: float = 0.95,
) -> TierFigures:
    """Compute the figures of one tier.

    The bounds are of canaries as a sample of all random strings. A canary counts as found if the share of twins that
    rank before it, itself counted among them, is at most ``fpr``: of strings that the model never saw that share is
    found on average, whatever the model.

    Args:
        copies: Number of copies.
        canaries: Log-probabilities of the suffixes of the canaries ``[c]``.
        twins: The same of the twins ``[t]``.
        recited: Whether each canary is recited ``[c]``.
        subject: Name of the model.
        fpr: False positive rate of the test.
        confidence: Confidence level of each one-sided bound.

    Raises:
        SpecError: There are too few twins for this rate.
    """
    if (len(twins) + 1) * fpr < 1:
        raise SpecError(
            f"At least {math.ceil(1 / fpr) - 1} twins were expected to find canaries at a false positive rate of"
            f" {fpr:g}; found {len(twins)}."
        )
    ranked = ranks(canaries, twins)
    found_at_fpr = int((ranked <= fpr * (len(twins) + 1)).sum())
    label = f"{copies} cop{'y' if copies == 1 else 'ies'}"
    greatest = math.log2(len(twins) + 1)

    def share(metric: str, k: int) -> Estimate:
        counts = Counts(k, len(canaries))
        return estimate_proportion(f"{metric} at {label}", subject, counts, exhaustive=False, confidence=confidence)

    return TierFigures(
        copies,
        _mean_exposure(greatest - np.log2(ranked), greatest, f"exposure at {label}", subject, confidence),
        share("canaries found", found_at_fpr),
        share("canaries recited", int(recited.sum())),
        greatest,
        fpr,
    )


def _mean_exposure(exposures: Values, greatest: float, metric: str, subject: str, confidence: float) -> Estimate:
    return Estimate(
        metric,
        subject,
        float(exposures.mean()),
        mean_lower_bound(exposures, confidence),
        upper_bound_of_mean(exposures, greatest, confidence),
        None,
        len(exposures),
        confidence=confidence,
        unit="bits",
    )
