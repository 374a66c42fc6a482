"""Bound the ratio of two rates over the same examples, at any number of hits and any confidence.

Of the m examples that at least one of two models memorized, each belongs to both, to the first alone or to the second
alone: the counts are trinomial. A ratio r of the two rates fixes these three shares but for one, say that of the
second alone. A ratio is refuted if the first model's excess over r times the second's is improbable whatever that share
is. The share is searched within an exact interval, which costs a twentieth of the error allowed (Berger and Boos 1994,
JASA 89, 1012–1016). So the bound holds at every count, and where counts are large it is close to the score interval of
Nam and Blackwelder (2002) and Tang, Tang and Chan (2003), which does not hold where they are small.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# Part of the error that the interval of the unknown share may take.
SHARE_OF_ERROR = 0.05
SEARCHED_SHARES = 17
# Standard deviations beyond which the probability of a count is not summed, and the number of counts added to them.
DEVIATIONS, FURTHER_COUNTS = 9.0, 30.0
LARGEST_STEP = 1e-5  # of the logarithm of a bound

Probabilities = npt.NDArray[np.float64]


@lru_cache(maxsize=256)
def ratio_lower_bound(both: int, only_first: int, only_second: int, confidence: float) -> float:
    """Return the one-sided lower bound of rate(first) / rate(second).

    Args:
        both: Number of examples that both models memorized.
        only_first: Number of examples that only the first model memorized.
        only_second: Number of examples that only the second model memorized.
        confidence: Confidence level of the bound.

    Returns:
        the bound: finite even where the second model memorized nothing, and 0 where the first did.
    """
    first, second = both + only_first, both + only_second
    if first == 0:
        return 0.0

    def is_refuted(log_ratio: float) -> bool:
        return ratio_is_refuted(math.exp(log_ratio), both, only_first, only_second, confidence)

    possible = math.log(first / second) if second else 0.0
    step = 1.0
    while not second and is_refuted(possible):
        possible += step
    refuted = possible
    while not is_refuted(refuted):
        refuted -= step
    while possible - refuted > LARGEST_STEP:
        middle = (possible + refuted) / 2
        if is_refuted(middle):
            refuted = middle
        else:
            possible = middle
    return math.exp(refuted)


def ratio_is_refuted(ratio: float, both: int, only_first: int, only_second: int, confidence: float) -> bool:
    """Return whether counts refute that rate(first) / rate(second) is ``ratio`` or less.

    Args:
        ratio: The ratio, greater than 0.
        both, only_first, only_second: Numbers of examples, at least one in all.
        confidence: Confidence level of the test.
    """
    memorized = both + only_first + only_second
    error = 1 - confidence
    least, greatest = _share_interval(only_second, memorized, SHARE_OF_ERROR * error)
    least, greatest = max(least, 1 - ratio), min(greatest, 1 / (1 + ratio))
    if least > greatest:
        return True
    shares = np.linspace(least, greatest, SEARCHED_SHARES)
    return float(_excess_probability(ratio, only_first, only_second, memorized, shares).max()) <= (
        error - SHARE_OF_ERROR * error
    )


def _share_interval(hits: int, n: int, error: float) -> tuple[float, float]:
    """Return the two-sided Clopper–Pearson interval of a share."""
    from scipy.special import betaincinv

    low = float(betaincinv(hits, n - hits + 1, error / 2)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - error / 2)) if hits < n else 1.0
    return low, high


def _excess_probability(
    ratio: float, only_first: int, only_second: int, memorized: int, shares: Probabilities
) -> Probabilities:
    """Return how probable an excess as great as the observed one is, for each share of the second model alone.

    The excess is ``ratio · only_first − only_second``, which is first − ratio · second but for a constant factor and
    summand.

    Args:
        ratio: Ratio of the two rates.
        only_first, only_second: Observed numbers of examples.
        memorized: Number of examples that at least one of the models memorized.
        shares: Shares ``[s]`` of these that only the second model memorized.

    Returns:
        probabilities ``[s]``.
    """
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    share_of_first = np.clip((shares + ratio - 1) / ratio, 0.0, 1.0)
    # Share of the first model alone among the examples that are not the second's alone.
    given_not_second = np.minimum(share_of_first / np.maximum(1 - shares, 1e-300), 1.0)
    expected, spread = memorized * shares, np.sqrt(memorized * shares * (1 - shares))
    begin = max(0, math.floor((expected - DEVIATIONS * spread).min() - FURTHER_COUNTS))
    end = min(memorized, math.ceil((expected + DEVIATIONS * spread).max() + FURTHER_COUNTS))
    of_second = np.arange(begin, end + 1, dtype=np.float64)
    # The tolerance counts an excess that equals the observed one up to rounding as equal.
    needed = np.ceil(only_first + (of_second - only_second) / ratio - 1e-9)
    others = memorized - of_second
    tail = betainc(np.maximum(needed, 1), np.maximum(others - needed + 1, 1), given_not_second[:, None])
    tail = np.where(needed <= 0, 1.0, np.where(needed > others, 0.0, tail))
    log_counts = gammaln(memorized + 1) - gammaln(of_second + 1) - gammaln(others + 1)
    log_probability = log_counts + xlogy(of_second, shares[:, None]) + xlog1py(others, -shares[:, None])
    probabilities: Probabilities = (np.exp(log_probability) * tail).sum(axis=1)
    return probabilities
