"""Whether a risk of 0.2 comes true in one of five examples: how log-odds are made so, and how far they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values

# Risks below it are summed up as a Poisson number (Le Cam): the error is at most the sum of their squares.
RARE = 0.1
EDGES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
# As many log-odds as are told apart where a calibration is fitted to a million of them.
LOG_ODDS_APART = 2000
FARTHEST = 40.0
DRAWS_PER_REFIT = 10
# Of a calibration: how far its slope may lie from Platt's, the least risk of any example, and the most that the
# features may leave untold among examples that look safe and among those that look memorized.
STEEPEST = 3.0
LEAST_RISK = 1e-6
MOST_UNTOLD = 0.05
MOST_MISSED = 0.3


class Calibration(NamedTuple):
    """Risk = least + (greatest − least) · σ(slope · log-odds + intercept).

    With least 0 and greatest 1 it is Platt's (1999, “Probabilistic Outputs for SVMs”): a penalised regression shrinks
    its coefficients, so that high risks are told too low and low ones too high. The two bounds leave room for examples
    that no feature tells (Copas 1988, “Binary Regression Models for Contaminated Data”): without it, a few of them
    flatten the slope for all.
    """

    slope: float
    intercept: float
    least: float = 0.0
    greatest: float = 1.0

    def of(self, log_odds: Values) -> Values:
        """Log-odds before the bounds."""
        return self.slope * log_odds + self.intercept

    def risk(self, log_odds: Values) -> Values:
        return bounded(self.of(log_odds), self.least, self.greatest)


def calibrate(log_odds: Values, labels: Flags, rng: np.random.Generator | None = None) -> Calibration:
    """The calibration under which ``[n]`` log-odds of examples that were not trained on tell how often they come true.

    By maximum likelihood. Labels count as a little less than certain, as Platt has them, and the slope stays within
    three times of his, so that separable ones do not lead to a step. A slope below 0 is none: where the log-odds tell
    nothing, all examples get the same risk.

    Args:
        rng: draws the positives with replacement, if given, for the spread of the calibration.
    """
    from scipy.optimize import minimize

    if np.ptp(log_odds) <= 1e-9 * max(1.0, float(np.abs(log_odds).max())):
        return Calibration(0.0, math.log((labels.sum() + 1) / ((~labels).sum() + 1)))
    # Beyond lies all certainty; a single odd example must not spread the bins of all others.
    log_odds = np.clip(log_odds, -FARTHEST, FARTHEST)
    positives, negatives = log_odds[labels], log_odds[~labels]
    if rng is not None:
        positives = rng.choice(positives, len(positives))
    edges = np.histogram_bin_edges(log_odds, LOG_ODDS_APART)
    hits, misses = (np.histogram(one, edges)[0].astype(np.float64) for one in (positives, negatives))
    sure = (len(positives) + 1) / (len(positives) + 2), (len(negatives) + 1) / (len(negatives) + 2)
    yes = sure[0] * hits + (1 - sure[1]) * misses
    no = sure[1] * misses + (1 - sure[0]) * hits
    middle = (edges[:-1] + edges[1:]) / 2
    first = _platt(middle, yes, no)
    if first.slope <= 0:
        return Calibration(0.0, math.log(yes.sum() / no.sum()))

    def loss(at: Values) -> float:
        risks = Calibration(first.slope * math.exp(at[0]), *at[1:]).risk(middle)
        return -float(yes @ np.log(risks) + no @ np.log1p(-risks))

    width = math.log(STEEPEST)
    bounds = [(-width, width), (None, None), (LEAST_RISK, MOST_UNTOLD), (1 - MOST_MISSED, 1 - LEAST_RISK)]
    start = [0.0, first.intercept, LEAST_RISK, 1 - LEAST_RISK]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return Calibration(first.slope * math.exp(found[0]), *(float(one) for one in found[1:]))


def _platt(log_odds: Values, yes: Values, no: Values) -> Calibration:
    """Unpenalised logistic regression of weighted outcomes ``[n]`` on log-odds ``[n]``."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, max_iter=1000)
    outcome = np.repeat([1, 0], len(log_odds))
    model.fit(np.concatenate([log_odds, log_odds])[:, None], outcome, sample_weight=np.concatenate([yes, no]))
    return Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


def bounded(log_odds: Values, least: float | Values, greatest: float | Values) -> Values:
    """Risks of log-odds, between a least and a greatest one."""
    found: Values = least + (greatest - least) * probability(log_odds)
    return found


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
