"""How far a model prefers canaries that it was trained on over twins that it never saw.

Exposure is Carlini et al.'s (The Secret Sharer, 2019, section 4): log2 of the number of possible strings less log2 of
the canary's rank among them by its likelihood, where the possible strings are a random sample of them, the twins. Of t
twins and the canary itself, rank r gives log2((t + 1) / r): at most log2(t + 1), and 1 / ln 2 = 1.44 on average if the
canary is nothing but one more twin. The canary's suffix is scored behind its prefix.
"""

from __future__ import annotations

import math

import numpy as np

from pytest_kdmem.base.arrays import Values


def ranks(canaries: Values, twins: Values) -> Values:
    """Rank of each canary ``[c]`` among the twins ``[t]`` by log-probability, from 1; it comes first of a tie."""
    behind = np.searchsorted(np.sort(twins), canaries, side="right")
    return np.asarray(1 + len(twins) - behind, np.float64)


def greatest_exposure(twins: int) -> float:
    """Exposure in bits of a canary that is likelier than every twin."""
    return math.log2(twins + 1)


def exposures(canaries: Values, twins: Values) -> Values:
    """Exposure in bits of each canary ``[c]``, from log-probabilities of canaries and twins ``[t]``."""
    return np.asarray(greatest_exposure(len(twins)) - np.log2(ranks(canaries, twins)))
