"""Compare what one attack tells of the same members against the same controls by two models.

The threshold of either model at a false positive rate f is not known, but both leave the same share of controls above:
so of the controls that exceed only one model's, half exceed the first's (McNemar). Together with the number above each,
which is binomial, that leaves a set of pairs of thresholds. The first model tells no more of the members if it does so
at every pair that is left: an intersection-union test (Berger 1982), which needs no correction. The scores must have no
ties, which losses of distinct examples do not have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import ExampleIds, Flags
from pytest_kdmem.metrics.roc_bounds import (
    AttackScores,
    controls_to_show,
    enclosing_ranks,
    exceedances,
    margin_of_mean,
    placements,
)

Counts = npt.NDArray[np.int64]
# The controls can mislead in three ways: too many above the first threshold, too few above the second, and more than
# half of those that exceed one of the two above the first.
WAYS = 3


@dataclass(frozen=True, eq=False)
class PairedAttack:
    """Scores by one attack on two models, over the same members and the same controls in the same order."""

    first: AttackScores
    second: AttackScores

    @property
    def is_of_one_model(self) -> bool:
        """Whether both models give every example the same score, so that there is nothing to compare."""
        pairs = (self.first.members, self.second.members), (self.first.controls, self.second.controls)
        return all(np.array_equal(*pair) for pair in pairs)


def shows_lower_tpr(pair: PairedAttack, fpr: float, confidence: float, *, strictly: bool = False) -> bool:
    """Return whether the data show that the first model's TPR at a false positive rate is not above the second's.

    Args:
        pair: Scores of both models.
        fpr: The false positive rate.
        confidence: Confidence level of the test.
        strictly: Whether the first model's must be below, and not equal, which counts over a whole training set.
    """
    error = (1 - confidence) * (1.0 if pair.first.exhaustive else 0.5)
    m = len(pair.first.controls)
    _, outer = enclosing_ranks(m, fpr, error / WAYS)
    inner, _ = enclosing_ranks(m, fpr, error / WAYS)
    # The number of controls above the first model's threshold, and above the second's.
    above_first, above_second = np.arange(outer, dtype=np.int64), np.arange(inner, outer, dtype=np.int64)
    control_ranks = [exceedances(side.controls, side.controls) + 1 for side in (pair.first, pair.second)]
    both = _both_within(control_ranks[0], control_ranks[1], above_first, above_second)
    only_first, only_second = above_first[:, None] - both, above_second - both
    is_left = _sign_test(only_first, only_second) > error / WAYS
    return not (is_left & ~_is_lower(pair, above_first, above_second, error, strictly=strictly)).any()


def controls_needed(fpr: float, confidence: float, *, exhaustive: bool) -> int:
    """Return the least number of controls with which `shows_lower_tpr` can hold whatever the members."""
    return controls_to_show(fpr, (1 - confidence) * (1.0 if exhaustive else 0.5) / WAYS)


def shows_lower_auc(pair: PairedAttack, confidence: float) -> bool:
    """Return whether the data show that the first model's area under the curve is not above the second's."""
    first, second = placements(pair.first), placements(pair.second)
    by_member, by_control = first[0] - second[0], first[1] - second[1]
    margin = margin_of_mean(by_member, by_control, 1.0, confidence, exhaustive=pair.first.exhaustive)
    return float(by_control.mean()) + margin <= 0


def _is_lower(pair: PairedAttack, above_first: Counts, above_second: Counts, error: float, *, strictly: bool) -> Flags:
    """Return at which thresholds the first model tells no more of the members, bool ``[first, second]``.

    Of the thresholds with so many controls above, the lowest of the first model and the highest of the second count.
    """
    # The fewest controls above a threshold that a member exceeds: of the first model's lowest with so many, and of the
    # second's highest.
    reaches_first = exceedances(np.nextafter(pair.first.members, -np.inf), pair.first.controls)
    reaches_second = exceedances(pair.second.members, pair.second.controls) + 1
    hits_first = _within(reaches_first, above_first)[:, None]
    hits_second = _within(reaches_second, above_second)
    if pair.first.exhaustive:
        return np.asarray(hits_first < hits_second if strictly else hits_first <= hits_second)
    both = _both_within(reaches_first, reaches_second, above_first, above_second)
    return np.asarray(_sign_test(hits_second - both, hits_first - both) <= error)


def _within(ranks: ExampleIds, limits: Counts) -> Counts:
    """Return how many ranks ``[n]`` are within each limit ``[k]``."""
    return np.searchsorted(np.sort(ranks), limits, side="right").astype(np.int64)


def _both_within(first: ExampleIds, second: ExampleIds, firsts: Counts, seconds: Counts) -> Counts:
    """Return how many examples have both ranks within limits, int64 ``[firsts, seconds]``; limits ascend by 1."""
    rows = np.maximum(first - firsts[0], 0)
    columns = np.maximum(second - seconds[0], 0)
    is_within = (rows < len(firsts)) & (columns < len(seconds))
    counts = np.zeros((len(firsts), len(seconds)), dtype=np.int64)
    np.add.at(counts, (rows[is_within], columns[is_within]), 1)
    return counts.cumsum(axis=0).cumsum(axis=1)


def _sign_test(more: Counts, fewer: Counts) -> npt.NDArray[np.float64]:
    """Return how probable it is that at least ``more`` of ``more + fewer`` go one way if both are equally likely."""
    from scipy.special import betainc

    return np.where(more > 0, betainc(np.maximum(more, 1), fewer + 1.0, 0.5), 1.0)
