"""Bound what thresholds of an attack's scores tell of members: TPR at a false positive rate, and area under the curve.

The area of the curve is the probability that a member scores higher than a control. The TPR at a false positive rate f
is the share of members above the threshold that a share f of all possible controls exceeds (Carlini et al. 2022,
“Membership Inference Attacks From First Principles”). That threshold is not known: it is estimated from m controls. How
many of them exceed it is binomial, so two of them enclose it whatever the distribution of the scores, as order
statistics enclose a quantile (David and Nagaraja 2003, “Order Statistics”, 7.1). The members above each of the two
bound the rate. A bound for the members alone, above the threshold that the controls have by chance, is too narrow: of
3 000 normal scores against 1 000, one of 95 % held in 72 % of draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import ExampleIds, Values
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.mean_bounds import upper_bound_of_mean

# Standard deviations of a binomial count beyond which no threshold is looked for, and controls added to them.
DEVIATIONS, FURTHER_CONTROLS = 10.0, 60


@dataclass(frozen=True, eq=False)
class AttackScores:
    """What an attack gives to members and controls: the higher, the more it takes an example for a member.

    Attributes:
        members: Scores of the members, float64 ``[n]``.
        controls: Scores of the controls, float64 ``[m]``.
        exhaustive: Whether the members are the whole training set, so that only the controls are a sample.
    """

    members: Values
    controls: Values
    exhaustive: bool


def hits_at(scores: AttackScores, fpr: float) -> int:
    """Return the number of members that score higher than all but a share ``fpr`` of the controls."""
    allowed = math.floor(fpr * len(scores.controls) + 1e-9)
    return int((scores.members > threshold_at(scores.controls, allowed + 1)).sum())


def threshold_at(controls: Values, rank: int) -> float:
    """Return the control of a rank, 1 being the highest; infinity before the first, −infinity behind the last."""
    if not 1 <= rank <= len(controls):
        return math.inf if rank < 1 else -math.inf
    return float(np.partition(controls, len(controls) - rank)[len(controls) - rank])


def tpr_bounds(scores: AttackScores, fpr: float, confidence: float) -> tuple[float, float]:
    """Return one-sided bounds of the TPR at a false positive rate, each of which holds at the confidence.

    Over a sample of members, half of the error goes to the threshold and half to the rate above it.
    """
    n, error = len(scores.members), 1 - confidence
    shared = error if scores.exhaustive else error / 2
    inner, outer = enclosing_ranks(len(scores.controls), fpr, shared)
    fewest = int((scores.members > threshold_at(scores.controls, inner)).sum())
    most = int((scores.members > threshold_at(scores.controls, outer)).sum())
    if scores.exhaustive:
        return fewest / n, most / n
    return lower_bound(fewest, n, 1 - shared), upper_bound(most, n, 1 - shared)


def enclosing_ranks(controls: int, fpr: float, error: float) -> tuple[int, int]:
    """Return the ranks of two controls that enclose the threshold of a false positive rate.

    Args:
        controls: Number of controls.
        fpr: Share of all possible controls above the threshold.
        error: Greatest probability that the threshold lies above the first of the two, and that it lies below the
            second.

    Returns:
        the ranks, 1 being the highest control; 0 if no control is shown to lie above it, and one more than there are
        controls if none is shown to lie below it.
    """
    from scipy.special import betainc

    expected = fpr * controls
    reach = math.ceil(expected + DEVIATIONS * math.sqrt(expected) + FURTHER_CONTROLS)
    ranks = np.arange(1, min(controls, reach) + 1, dtype=np.float64)
    reached = betainc(ranks, controls - ranks + 1, fpr)  # probability that so many controls exceed the threshold
    return int((1 - reached <= error).sum()), int((reached > error).sum()) + 1


def controls_to_show(fpr: float, error: float) -> int:
    """Return the least number of controls of which one is shown to exceed the threshold of a false positive rate."""
    return math.ceil(math.log(error) / math.log1p(-fpr))


def exceedances(values: Values, among: Values) -> ExampleIds:
    """Return how many of some scores ``[m]`` are higher than each value ``[n]``, int64 ``[n]``."""
    return len(among) - np.searchsorted(np.sort(among), values, side="right")


def placements(scores: AttackScores) -> tuple[Values, Values]:
    """Return the share of controls below each member ``[n]``, and of members above each control ``[m]``.

    Those that are equal count half. The mean of either is the area under the curve (DeLong et al. 1988).
    """
    n, m = len(scores.members), len(scores.controls)
    above_member = exceedances(scores.members, scores.controls)
    not_below_member = m - np.searchsorted(np.sort(scores.controls), scores.members, side="left")
    above_control = exceedances(scores.controls, scores.members)
    not_below_control = n - np.searchsorted(np.sort(scores.members), scores.controls, side="left")
    return 1 - (above_member + not_below_member) / (2 * m), (above_control + not_below_control) / (2 * n)


def auc_bounds(scores: AttackScores, confidence: float) -> tuple[float, float]:
    """Return one-sided bounds of the area under the curve, each of which holds at the confidence."""
    by_member, by_control = placements(scores)
    area = float(by_control.mean())
    upper = area + margin_of_mean(by_member, by_control, 1.0, confidence, exhaustive=scores.exhaustive)
    lower = 1 - area + margin_of_mean(1 - by_member, 1 - by_control, 1.0, confidence, exhaustive=scores.exhaustive)
    return max(0.0, 1 - lower), min(1.0, upper)


def margin_of_mean(
    by_member: Values, by_control: Values, greatest: float, confidence: float, *, exhaustive: bool
) -> float:
    """Return how far above its estimate a mean over members and controls can lie, at a confidence.

    The variances of the two samples add up. So the squares of the distances to their bounds are added (Zou and Donner
    2008, “Construction of confidence limits about effect measures”), and these bounds hold whatever the distribution.

    Args:
        by_member, by_control: Means over the other side, by member ``[n]`` and by control ``[m]``.
        greatest: What none of them can exceed.
        confidence: Confidence level.
        exhaustive: Whether the members are the whole training set, and vary not at all.
    """
    samples = (by_control,) if exhaustive else (by_member, by_control)
    return math.hypot(*(upper_bound_of_mean(values, greatest, confidence) - float(values.mean()) for values in samples))
