"""Bound the mean of losses over a sample, whatever their distribution.

Each measured loss, and the end of the range that losses can take, gets a random weight; the weights are uniform on all
that add up to 1. The bound is a quantile of the weighted mean (Gaffke 2005; Learned-Miller and Thomas 2019). Of losses
that are either 0 or the greatest it is Clopper and Pearson's bound. Student's t covers less than it says if losses are
skewed.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# A loss in nats per token that none is expected to exceed: that of a guess among 2 ** 18 tokens.
GREATEST_LOSS = 18 * math.log(2)

# Distance between points, relative to the greatest, that may be rounding alone.
ROUNDING = 1e-12

Values = npt.NDArray[np.float64]


def mean_lower_bound(losses: Values, confidence: float) -> float:
    """Return the one-sided lower bound of the mean of losses ``[n]``, none of which is negative."""
    return -_upper_quantile(-np.append(losses, 0.0), confidence)


def mean_upper_bound(losses: Values, confidence: float) -> float:
    """Return the one-sided upper bound of the mean of losses ``[n]``, none of which is above `greatest_possible`."""
    return upper_bound_of_mean(losses, greatest_possible(losses), confidence)


def upper_bound_of_mean(values: Values, greatest: float, confidence: float) -> float:
    """Return the one-sided upper bound of the mean of values ``[n]``, none of which can be above ``greatest``."""
    return _upper_quantile(np.append(values, greatest), confidence)


def greatest_possible(losses: Values) -> float:
    """Return the end of the range of losses: `GREATEST_LOSS`, or twice the greatest measured one if that is more."""
    return max(GREATEST_LOSS, 2 * float(losses.max()))


def _upper_quantile(points: Values, confidence: float) -> float:
    """Return the quantile of the mean of points ``[n]`` with random weights, which is above their plain mean."""
    from scipy.optimize import brentq

    mean, greatest = float(points.mean()), float(points.max())
    span = greatest - mean
    if span <= ROUNDING * max(1.0, abs(greatest)):  # points that are equal but for rounding, of which the end bounds
        return greatest
    scaled = (points - mean) / span
    return mean + span * float(
        brentq(lambda bound: probability_above(scaled, bound) - (1 - confidence), 1e-6, 1 - 1e-9, xtol=1e-7)
    )


def probability_above(points: Values, bound: float) -> float:
    """Return the probability that the mean of points with random weights exceeds a bound above their plain mean.

    Uniform weights are exponential variables divided by their sum, so it is the probability that a sum of exponential
    variables, each times the distance of its point from the bound, is positive. It is that of Lugannani and Rice's
    saddlepoint approximation, whose relative error is below 1 % even of two points.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    distances = points - bound
    distances = distances / distances.max()

    def slope(tilt: float) -> float:
        return float((distances / (1 - tilt * distances)).sum())

    high = -float(distances.sum()) / float((distances**2).sum())  # Newton's first step
    while high < 0.5 and slope(high) < 0:
        high *= 2
    tilt = float(brentq(slope, 0.0, high if high < 0.5 else 1 - 1e-12, rtol=1e-9))
    terms = distances / (1 - tilt * distances)
    deviance = math.sqrt(max(2 * float(np.log1p(-tilt * distances).sum()), 0.0))
    deviation = tilt * math.sqrt(float((terms**2).sum()))
    if deviance < 1e-4:
        return 0.5
    density = math.exp(-(deviance**2) / 2) / math.sqrt(2 * math.pi)
    return float(ndtr(-deviance) + density * (1 / deviation - 1 / deviance))
