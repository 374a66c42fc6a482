"""Which examples are of which tier of the number of copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.copy_tiers import TIERS, tier_of


def short_copies_by_tier(copies: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return the most copies of one of the examples of each tier that are too short to be scored.

    Args:
        copies: Number of copies of each distinct example that is too short ``[s]``.

    Returns:
        By tier; tiers without such an example, and that of what stands once, are left out.
    """
    several = copies[copies > 1]
    return {tier: int(several[of_tier].max()) for tier, of_tier in copy_tiers(several).items() if of_tier.any()}


def copy_tiers(copies: npt.NDArray[np.int64]) -> dict[str, Flags]:
    """Return which of n examples are of each tier, bool ``[n]``; a tier may be empty.

    Args:
        copies: Number of copies of each example ``[n]``, at least 1.
    """
    tier_of_example = tier_of(copies)
    return {tier: tier_of_example == index for index, tier in enumerate(TIERS)}
