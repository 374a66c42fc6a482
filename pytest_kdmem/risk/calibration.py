"""Whether a risk of 0.2 comes true in one of five examples: how log-odds are made so, and how far they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pytest_kdmem.memorization import Flags
from pytest_kdmem.risk.features import Values

# Risks below it are summed up as a Poisson number (Le Cam): the error is at most the sum of their squares.
RARE = 0.1
EDGES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
# As many log-odds as are told apart where a calibration is fitted to a million of them.
LOG_ODDS_APART = 2000
DRAWS_PER_REFIT = 10


class Calibration(NamedTuple):
    """Log-odds that hold are slope · log-odds + intercept (Platt 1999, “Probabilistic Outputs for SVMs”).

    A penalised regression shrinks its coefficients, so that high risks are told too low and low ones too high.
    """

    slope: float
    intercept: float

    def of(self, log_odds: Values) -> Values:
        return self.slope * log_odds + self.intercept


def calibrate(log_odds: Values, labels: Flags, rng: np.random.Generator | None = None) -> Calibration:
    """The calibration under which ``[n]`` log-odds of examples that were not trained on tell how often they come true.

    Labels count as a little less than certain, as Platt has them, so that separable ones do not lead to infinite
    slopes. A slope below 0 is none: where the log-odds tell nothing, all examples get the same risk.

    Args:
        rng: draws the positives with replacement, if given, for the spread of the calibration.
    """
    from sklearn.linear_model import LogisticRegression

    positives, negatives = log_odds[labels], log_odds[~labels]
    if rng is not None:
        positives = rng.choice(positives, len(positives))
    edges = np.histogram_bin_edges(log_odds, LOG_ODDS_APART)
    sure = (len(positives) + 1) / (len(positives) + 2), (len(negatives) + 1) / (len(negatives) + 2)
    hits, misses = (np.histogram(one, edges)[0].astype(np.float64) for one in (positives, negatives))
    yes = sure[0] * hits + (1 - sure[1]) * misses
    no = sure[1] * misses + (1 - sure[0]) * hits
    middle = (edges[:-1] + edges[1:])[:, None] / 2
    outcome = np.repeat([1, 0], len(middle))
    model = LogisticRegression(C=np.inf, max_iter=1000)
    model.fit(np.vstack([middle, middle]), outcome, sample_weight=np.concatenate([yes, no]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Calibration(slope, intercept) if slope > 0 else Calibration(0.0, math.log(yes.sum() / no.sum()))


@dataclass(frozen=True)
class Bin:
    """Examples whose risk lies from ``lower`` to below ``upper`` (the last bin holds 1).

    Attributes:
        n: examples.
        expected: mean risk.
        low, high: the shares between which the observed one lies with the confidence asked for, if the risks are right.
        observed: share memorized.
    """

    lower: float
    upper: float
    n: int
    expected: float
    low: float
    high: float
    observed: float

    @property
    def holds(self) -> bool:
        return self.low <= self.observed <= self.high


def counts_to_come(risks: Values, rng: np.random.Generator) -> int:
    """One draw of how many of the examples will be memorized, each with its own risk."""
    rare = risks < RARE
    often = risks[~rare]
    return int(rng.poisson(float(risks[rare].sum())) + (rng.random(len(often)) < often).sum())


def reliability(
    risks: Values, refits: Iterable[Values], labels: Flags, *, confidence: float = 0.95, seed: int = 0
) -> tuple[Bin, ...]:
    """Risks against what came of them; bins without an example are left out.

    Args:
        risks: ``[n]``.
        refits: ``[n]`` each, the risks by each of several fits: how sure the risks themselves are; read once.
        labels: ``[n]``.
        confidence: of each bin's interval, two-sided.
    """
    rng = np.random.default_rng(seed)
    places = [(low, high, np.flatnonzero(_within(risks, low, high))) for low, high in pairwise(EDGES)]
    filled = [place for place in places if len(place[2])]
    draws: list[list[int]] = [[] for _ in filled]
    for refit in refits:
        for counts, (_, _, at) in zip(draws, filled, strict=True):
            counts += [counts_to_come(refit[at], rng) for _ in range(DRAWS_PER_REFIT)]
    bins = []
    for counts, (lower, upper, at) in zip(draws, filled, strict=True):
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        low, high = np.quantile(counts, tails, method="inverted_cdf") / len(at)
        expected, observed = float(risks[at].mean()), float(labels[at].mean())
        bins.append(Bin(lower, upper, len(at), expected, float(low), float(high), observed))
    return tuple(bins)


def _within(risks: Values, lower: float, upper: float) -> Flags:
    """Bool ``[n]``; the last bin holds 1."""
    return (risks >= lower) & ((risks < upper) | (upper == EDGES[-1]))


def brier(risks: Values, labels: Flags) -> float:
    """Mean squared difference of risk and outcome (Brier 1950), 0 at best."""
    return float(np.mean((risks - labels) ** 2))


def probability(log_odds: Values) -> Values:
    """1 / (1 + e^−x), without overflow."""
    from scipy.special import expit

    found: Values = expit(log_odds)
    return found
