"""Tiers of the number of copies of an example.

Memorization grows with the number of copies (Lee et al. 2022, "Deduplicating Training Data Makes Language Models
Better"; Kandpal et al. 2022; Carlini et al. 2023, "Quantifying Memorization"), so that one rate over all examples
hides what is recited of those that stood once. Tiers widen fourfold, as the published counts fall off by powers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Least number of copies of each tier; the next tier begins where one ends.
TIERS = {"1": 1, "2-3": 2, "4-15": 4, "16+": 16}


def tier_of(copies: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index ``[n]`` among the tiers of that of each example.

    Args:
        copies: Number of copies of each example ``[n]``, at least 1.
    """
    tiers: npt.NDArray[np.int64] = np.searchsorted(list(TIERS.values()), copies, side="right") - 1
    return tiers
