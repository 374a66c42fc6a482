"""Which examples are of which tier of the number of copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.copy_tiers import TIERS, tier_of


def copy_tiers(copies: npt.NDArray[np.int64]) -> dict[str, Flags]:
    """Return which of n examples are of each tier, bool ``[n]``; a tier may be empty.

    Args:
        copies: Number of copies of each example ``[n]``, at least 1.
    """
    tier_of_example = tier_of(copies)
    return {tier: tier_of_example == index for index, tier in enumerate(TIERS)}
