"""Calibrate log-odds, so that of the examples with a predicted risk of 0.2 one in five is memorized."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values

# A calibration is fitted to this many bins of log-odds, however many examples there are.
LOG_ODDS_BINS = 2000
# Beyond these log-odds a risk is 0 or 1 for all purposes. Clipping keeps an outlier from stretching the bins.
FARTHEST = 40.0
# Limits of a calibration: the slope relative to Platt's, the risk of the safest example, and the share of examples
# whose outcome the features may fail to predict, among those that look safe and among those that look memorized.
STEEPEST = 3.0
LEAST_RISK = 1e-6
MOST_UNPREDICTED = 0.05
MOST_MISSED = 0.3


class Calibration(NamedTuple):
    """Risk = least + (greatest − least) · σ(slope · log-odds + intercept).

    With least 0 and greatest 1 this is Platt scaling (Platt 1999, “Probabilistic Outputs for SVMs”): it undoes the
    shrinkage of a penalised regression, which predicts high risks too low and low risks too high. The two limits leave
    room for examples whose outcome no feature predicts (Copas 1988, “Binary Regression Models for Contaminated Data”):
    without them, a few such examples flatten the slope for all.
    """

    slope: float
    intercept: float
    least: float = 0.0
    greatest: float = 1.0

    def rescale(self, log_odds: Values) -> Values:
        """Return slope · log-odds + intercept, shape ``[n]``."""
        return self.slope * log_odds + self.intercept

    def risk(self, log_odds: Values) -> Values:
        """Return the calibrated risks of log-odds ``[n]``."""
        return bounded_probability(self.rescale(log_odds), self.least, self.greatest)


def calibrate(log_odds: Values, labels: Flags, rng: np.random.Generator | None = None) -> Calibration:
    """Fit a calibration to the log-odds of examples that the classifier was not trained on, by maximum likelihood.

    As in Platt (1999), labels count as slightly less than certain. The slope stays within three times Platt's, so that
    separable classes do not lead to a step function. If it would be negative, the log-odds predict nothing, and all
    examples get the same risk.

    Args:
        log_odds: Log-odds ``[n]``.
        labels: Whether each example was memorized, bool ``[n]``.
        rng: If given, positives are resampled with replacement; the spread of such fits shows how certain one fit is.
    """
    from scipy.optimize import minimize

    if np.ptp(log_odds) <= 1e-9 * max(1.0, float(np.abs(log_odds).max())):
        return Calibration(0.0, math.log((labels.sum() + 1) / ((~labels).sum() + 1)))
    log_odds = np.clip(log_odds, -FARTHEST, FARTHEST)
    positives, negatives = log_odds[labels], log_odds[~labels]
    if rng is not None:
        positives = rng.choice(positives, len(positives))
    edges = np.histogram_bin_edges(log_odds, LOG_ODDS_BINS)
    hits, misses = (np.histogram(of_class, edges)[0].astype(np.float64) for of_class in (positives, negatives))
    hit_certainty, miss_certainty = ((len(of_class) + 1) / (len(of_class) + 2) for of_class in (positives, negatives))
    positive_weights = hit_certainty * hits + (1 - miss_certainty) * misses
    negative_weights = miss_certainty * misses + (1 - hit_certainty) * hits
    centers = (edges[:-1] + edges[1:]) / 2
    platt = _fit_platt(centers, positive_weights, negative_weights)
    if platt.slope <= 0:
        return Calibration(0.0, math.log(positive_weights.sum() / negative_weights.sum()))

    def with_parameters(parameters: Values) -> Calibration:
        log_relative_slope, intercept, least, greatest = (float(parameter) for parameter in parameters)
        return Calibration(platt.slope * math.exp(log_relative_slope), intercept, least, greatest)

    def negative_log_likelihood(parameters: Values) -> float:
        risks = with_parameters(parameters).risk(centers)
        return -float(positive_weights @ np.log(risks) + negative_weights @ np.log1p(-risks))

    width = math.log(STEEPEST)
    limits = [(-width, width), (None, None), (LEAST_RISK, MOST_UNPREDICTED), (1 - MOST_MISSED, 1 - LEAST_RISK)]
    start = [0.0, platt.intercept, LEAST_RISK, 1 - LEAST_RISK]
    return with_parameters(minimize(negative_log_likelihood, start, method="L-BFGS-B", bounds=limits).x)


def _fit_platt(log_odds: Values, positive_weights: Values, negative_weights: Values) -> Calibration:
    """Fit an unpenalised logistic regression of weighted outcomes on log-odds, all ``[n]``."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, max_iter=1000)
    outcomes = np.repeat([1, 0], len(log_odds))
    weights = np.concatenate([positive_weights, negative_weights])
    model.fit(np.concatenate([log_odds, log_odds])[:, None], outcomes, sample_weight=weights)
    return Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


def bounded_probability(log_odds: Values, least: float | Values, greatest: float | Values) -> Values:
    """Return least + (greatest − least) · σ(log-odds)."""
    risks: Values = least + (greatest - least) * probability(log_odds)
    return risks


def probability(log_odds: Values) -> Values:
    """Return σ(x) = 1 / (1 + e^−x), without overflow."""
    from scipy.special import expit

    probabilities: Values = expit(log_odds)
    return probabilities
