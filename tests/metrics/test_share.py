"""The share of a set that lies in another has the least and the greatest value that ambiguous verdicts allow."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.metrics.share import estimate_share

# A verdict: as observed, whatever happens, and if every ambiguous verdict counts.
NO, YES, UNLIKELY, LIKELY = (False, False, False), (True, True, True), (False, False, True), (True, False, True)
verdicts = st.lists(st.tuples(*[st.sampled_from([NO, YES, UNLIKELY, LIKELY])] * 2), min_size=1, max_size=6)


def flags(column: list[tuple[bool, bool, bool]]) -> MemorizedFlags:
    return MemorizedFlags(*np.array(column, dtype=bool).T)


def exactly(counts: Counts) -> Estimate:
    return estimate_proportion("share", "student", counts, exhaustive=True)


def outcomes(pairs: list[tuple[tuple[bool, bool, bool], ...]]) -> list[float]:
    """The share in every outcome of the ambiguous verdicts; it could be anything where the whole set is empty."""
    choices = [product(*[sorted({sure, possible}) for _, sure, possible in pair]) for pair in pairs]
    shares = []
    for outcome in product(*map(list, choices)):
        whole = sum(first for first, _ in outcome)
        shares += [sum(first and second for first, second in outcome) / whole] if whole else [0.0, 1.0]
    return shares


@given(verdicts)
def test_bounds_are_those_of_every_outcome(pairs: list[tuple[tuple[bool, bool, bool], ...]]) -> None:
    whole, part = (flags([pair[side] for pair in pairs]) for side in (0, 1))
    estimate = estimate_share(whole, part, exactly)
    if not whole.memorized.any():
        assert math.isnan(estimate.value)
        assert (estimate.low, estimate.high) == (0, 1)
        return
    possible = outcomes(pairs)
    assert estimate.value == (whole.memorized & part.memorized).sum() / whole.memorized.sum()
    assert (estimate.low, estimate.high) == (min(possible), max(possible))


def test_examples_that_decide_nothing_are_not_counted_as_ambiguous() -> None:
    estimate = estimate_share(flags([YES, YES, NO]), flags([YES, LIKELY, LIKELY]), exactly)
    assert (estimate.k, estimate.n, estimate.ambiguous) == (2, 2, 1)
    assert (estimate.low, estimate.high) == (0.5, 1.0)
