"""Tiers of the number of copies of an example.

Memorization grows with the number of copies (Lee et al. 2022, "Deduplicating Training Data Makes Language Models
Better"; Kandpal et al. 2022; Carlini et al. 2023, "Quantifying Memorization"), so that one rate over all examples
hides what is recited of those that stood once. Tiers widen fourfold, as the published counts fall off by powers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags

# Least number of copies of each tier; the next tier begins where one ends.
TIERS = {"1": 1, "2-3": 2, "4-15": 4, "16+": 16}


def copy_tiers(copies: npt.NDArray[np.int64]) -> dict[str, Flags]:
    """Return which of n examples are of each tier, bool ``[n]``, without empty tiers.

    Args:
        copies: Number of copies of each example ``[n]``, at least 1.
    """
    tier_of_example = np.searchsorted(list(TIERS.values()), copies, side="right") - 1
    members = {tier: tier_of_example == index for index, tier in enumerate(TIERS)}
    return {tier: is_member for tier, is_member in members.items() if is_member.any()}
