"""Scores of canaries as models would give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pytest_kdmem.canaries.measured import MeasuredCanaries


def scores_of(
    count: int,
    twins: int,
    *,
    shift: Mapping[int, float],
    subject: str = "student",
    draw: np.random.Generator | None = None,
    memorized: Sequence[bool] | None = None,
    ambiguous: Sequence[bool] | None = None,
    over: str = "these",
) -> MeasuredCanaries:
    """Normal log-probabilities of twins, and of so many canaries for each number of copies, moved by ``shift``."""
    draw = draw or np.random.default_rng(0)
    copies = np.array([tier for tier in shift for _ in range(count)] + [0] * twins)
    moved = np.array([shift.get(int(tier), 0.0) for tier in copies])
    none = np.zeros(len(copies), bool)
    planted = [np.concatenate([given, none[len(given) :]]) if given else none for given in (memorized, ambiguous)]
    return MeasuredCanaries(
        subject, "manifest", copies, draw.normal(size=len(copies)) + moved, *planted, 0.95, over, f"digest of {subject}"
    )
