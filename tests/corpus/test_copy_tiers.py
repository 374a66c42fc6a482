"""Tiers of copies begin where the last one ends."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.corpus.copy_tiers import TIERS, tier_of


def test_every_number_of_copies_is_of_one_tier() -> None:
    limits = {"1": range(1, 2), "2-3": range(2, 4), "4-15": range(4, 16), "16+": range(16, 2000)}
    copies = np.arange(1, 2000)
    expected = [next(tier for tier, of_tier in limits.items() if number in of_tier) for number in copies.tolist()]
    assert [list(TIERS)[index] for index in tier_of(copies)] == expected
