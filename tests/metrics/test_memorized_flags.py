"""Sets of memorized examples are intersected within the range that ambiguous verdicts allow."""

from __future__ import annotations

import itertools

import numpy as np

from pytest_kdmem.metrics.memorized_flags import MemorizedFlags, count_pairs

# Verdict as observed, least and greatest: every triple that a verdict and its ambiguity make.
VERDICTS = [(False, False, False), (False, False, True), (True, False, True), (True, True, True)]


def flags(verdicts: list[tuple[bool, bool, bool]]) -> MemorizedFlags:
    return MemorizedFlags(*np.array(verdicts).T)


def test_bounds_of_a_set_are_the_least_and_greatest_that_any_way_to_decide_gives() -> None:
    pairs = list(itertools.product(VERDICTS, repeat=2))
    first, second = flags([pair[0] for pair in pairs]), flags([pair[1] for pair in pairs])
    for both, decide in ((first & second, lambda a, b: a and b), (first - second, lambda a, b: a and not b)):
        for index, (first_verdict, second_verdict) in enumerate(pairs):
            ways = [decide(a, b) for a in first_verdict[1:] for b in second_verdict[1:]]
            assert both.sure[index] == min(ways)
            assert both.possible[index] == max(ways)
            assert both.memorized[index] == decide(first_verdict[0], second_verdict[0])
            assert both.ambiguous[index] == (min(ways) != max(ways))


def test_pairs_are_counted_by_who_memorized() -> None:
    first, second = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)
    counts = count_pairs(first, second)
    assert (counts.both, counts.only_first, counts.only_second) == (1, 2, 1)
