"""Estimates how much of one set of examples lies in another, where some members of either are ambiguous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_kdmem.metrics.bounds import Counts
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags


def estimate_share(whole: MemorizedFlags, part: MemorizedFlags, proportion: Callable[[Counts], Estimate]) -> Estimate:
    """Estimate |whole ∩ part| / |whole|, with the bounds that ambiguous verdicts allow.

    The share is greatest if every example that may be in both sets is in both, and every example that may be
    missing from the whole without being in both is missing. It is least the other way round.

    Args:
        whole: The set of which the share is taken.
        part: The other set.
        proportion: Estimates a proportion.
    """
    both, whole_only = whole & part, whole - part
    observed = Counts(int(both.memorized.sum()), int(whole.memorized.sum()))
    estimate = proportion(observed)
    most, fewest = int(both.possible.sum()), int(both.sure.sum())
    greatest = Counts(most, most + int(whole_only.sure.sum()))
    least = Counts(fewest, fewest + int(whole_only.possible.sum()))
    if greatest == least or not observed.n:
        return estimate
    return replace(
        estimate,
        low=min(estimate.low, proportion(least).low),
        high=max(estimate.high, proportion(greatest).high),
        ambiguous=int((whole.ambiguous | (whole.possible & part.ambiguous)).sum()),
    )
