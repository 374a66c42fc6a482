"""What the seeds' votes come to, and when a seed may vote."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pytest_kdmem.study.findings.direction import (
    agreement,
    alike,
    both,
    few,
    fewer,
    greater,
    most,
    rank_sum,
    sides,
)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([1, 1, 1], "agrees"),
        ([1], "agrees"),
        ([-1, -1], "does not"),
        ([-1, 0], "does not"),
        ([1, 1, 0], "cannot be told at this n"),
        ([1, -1], "cannot be told at this n"),
        ([0, 0], "cannot be told at this n"),
        ([], "cannot be told at this n"),
    ],
)
def test_votes(votes, expected):
    assert agreement(votes) == expected


def test_both_hold_only_together():
    expected = {(1, 1): 1, (1, 0): 0, (0, 0): 0}
    for first, second in product((1, 0, -1), repeat=2):
        pair = tuple(sorted((first, second), reverse=True))
        assert both(first, second) == expected.get(pair, -1)


def flags(n, *positions):
    return np.isin(np.arange(n), positions)


def test_fewer_needs_six_examples_that_all_go_one_way():
    # Exact McNemar, two-sided: 5 of 5 is 2 / 32 = 0.0625, 6 of 6 is 2 / 64 = 0.03125.
    none, five, six = flags(9), flags(9, *range(5)), flags(9, *range(6))
    assert (fewer(none, five), fewer(none, six), fewer(six, none)) == (0, 1, -1)
    assert (alike(none, five), alike(none, six), alike(six, none)) == (0, -1, -1)


def test_few_and_most_by_exact_bounds():
    # 0 of n has the upper bound 1 − 0.05^(1/n): 0.1025… at 28 − 1, 0.0985… at 29 examples.
    assert 1 - 0.05 ** (1 / 29) < 0.10 < 1 - 0.05 ** (1 / 28)
    assert (few(0, 28), few(0, 29)) == (0, 1)
    # n of n has the lower bound 0.05^(1/n): 4 of 4 is 0.473, 5 of 5 is 0.549.
    assert (most(4, 4), most(5, 5)) == (0, 1)
    assert (most(0, 5), few(5, 5)) == (-1, -1)
    assert (few(0, 0), most(0, 0)) == (0, 0)


def test_a_figure_each_model_has_once_votes_from_three_seeds_on():
    assert sides([-0.1, -0.2]) == (0, 0)
    assert sides([-0.1, 0.0, 0.2]) == (1, 1, -1)


def test_tests_of_nothing_are_undefined():
    empty, some = np.array([]), np.array([1.0, 2.0])
    assert rank_sum(empty, some) is None
    assert rank_sum(some, empty) is None
    assert (greater(empty, empty), greater(some, some)) == (0, 0)


def test_greater_needs_six_pairs_that_all_go_one_way():
    # Signed ranks, two-sided: 5 of 5 is 2 / 32, 6 of 6 is 2 / 64.
    values = np.arange(1.0, 7.0)
    assert (greater(values[:5], -values[:5]), greater(values, -values), greater(-values, values)) == (0, 1, -1)


def test_greater_goes_by_ranks_where_most_pairs_are_equal():
    first = np.concatenate([np.arange(1.0, 8.0), np.zeros(9)])
    assert greater(first, np.zeros(16)) == 1
