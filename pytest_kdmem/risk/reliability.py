"""Compare predicted risks with what was memorized: bins of a reliability curve, and the Brier score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values

# Memorized examples with risks below this are counted by one Poisson draw (Le Cam): the error is at most the sum of
# the squared risks.
RARE = 0.1
EDGES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
DRAWS_PER_REFIT = 10


@dataclass(frozen=True)
class Bin:
    """Examples whose risk lies in [lower, upper); the last bin includes 1.

    Attributes:
        lower, upper: Edges of the bin.
        n: Number of examples.
        expected: Mean predicted risk.
        low, high: Interval of the share that is memorized if the predicted risks are right.
        observed: Share that was memorized.
    """

    lower: float
    upper: float
    n: int
    expected: float
    low: float
    high: float
    observed: float

    @property
    def covers_observed(self) -> bool:
        """Whether the observed share lies in the predicted interval."""
        return self.low <= self.observed <= self.high


def draw_memorized_count(risks: Values, rng: np.random.Generator) -> int:
    """Draw how many examples will be memorized, each with its own risk ``[n]``."""
    is_rare = risks < RARE
    frequent = risks[~is_rare]
    return int(rng.poisson(float(risks[is_rare].sum())) + (rng.random(len(frequent)) < frequent).sum())


def reliability_bins(
    risks: Values, refits: Iterable[Values], labels: Flags, *, confidence: float = 0.95, seed: int = 0
) -> tuple[Bin, ...]:
    """Bin examples by risk and compare the observed with the expected share; empty bins are left out.

    Args:
        risks: Predicted risks ``[n]``.
        refits: Risks ``[n]`` by each of several fits, whose spread shows how certain the risks are. Iterated once.
        labels: Whether each example was memorized, bool ``[n]``.
        confidence: Confidence level of the two-sided interval of each bin.
        seed: Seed of the random draws behind the intervals.
    """
    rng = np.random.default_rng(seed)
    members = [(lower, upper, np.flatnonzero(_is_within(risks, lower, upper))) for lower, upper in pairwise(EDGES)]
    filled = [(lower, upper, rows) for lower, upper, rows in members if len(rows)]
    draws: list[list[int]] = [[] for _ in filled]
    for refit in refits:
        for counts, (_, _, rows) in zip(draws, filled, strict=True):
            counts += [draw_memorized_count(refit[rows], rng) for _ in range(DRAWS_PER_REFIT)]
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    bins = []
    for counts, (lower, upper, rows) in zip(draws, filled, strict=True):
        low, high = np.quantile(counts, tails, method="inverted_cdf") / len(rows)
        expected, observed = float(risks[rows].mean()), float(labels[rows].mean())
        bins.append(Bin(lower, upper, len(rows), expected, float(low), float(high), observed))
    return tuple(bins)


def _is_within(risks: Values, lower: float, upper: float) -> Flags:
    """Return which risks lie in a bin, bool ``[n]``; the last bin includes 1."""
    return (risks >= lower) & ((risks < upper) | (upper == EDGES[-1]))


def brier_score(risks: Values, labels: Flags) -> float:
    """Return the mean squared difference of risk and outcome (Brier 1950); 0 is best."""
    return float(np.mean((risks - labels) ** 2))
