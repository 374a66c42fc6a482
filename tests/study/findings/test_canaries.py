"""Exposure of canaries by copies, role and seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.study.findings import canaries
from tests.study.studies_by_hand import line, pairs

TWINS = 127


def measured(ranks_by_copies, recited=()) -> MeasuredCanaries:
    """Canaries of given ranks among twins whose log-probabilities are -1, -2, …; those of some copies are recited."""
    copies = [number for number, ranks in ranks_by_copies.items() for _ in ranks] + [0] * TWINS
    logprobs = [0.5 - rank for ranks in ranks_by_copies.values() for rank in ranks]
    logprobs += [-float(twin) for twin in range(1, TWINS + 1)]
    memorized = np.isin(copies, recited)
    return MeasuredCanaries(
        "model", "manifest", np.array(copies), np.array(logprobs), memorized, np.zeros(len(copies), dtype=bool), 0.95
    )


@pytest.fixture
def lines(by_hand):
    hand = by_hand(range(3))
    unseen, learned = [20, 30, 40, 50, 60, 70, 80, 90], [1, 1, 1, 1, 1, 1, 2, 4]
    runs = [hand.model("teacher", part="canaries", canaries=measured({1: unseen, 16: learned}, recited=[16]))]
    for seed in range(3):
        runs += [
            hand.model("baseline", part="canaries", seed=seed, canaries=measured({1: unseen, 16: learned})),
            hand.model("soft", part="canaries", seed=seed, canaries=measured({1: unseen, 16: unseen})),
            hand.model("hard", part="canaries", seed=seed, canaries=measured({1: learned, 16: learned})),
        ]
    runs.append(hand.model("soft", seed=0))  # of the main part: it saw no canaries
    return canaries.rows(canaries.canaries(hand.study(*runs)))


def test_exposure_is_the_mean_over_the_canaries_of_a_number_of_copies(lines):
    # Rank r among 127 twins and itself: 7 − log2 r bits.
    expected = sum(7 - math.log2(rank) for rank in (1, 1, 1, 1, 1, 1, 2, 4)) / 8
    assert line(lines, "exposure of 16 copies, teacher").measured.values == pytest.approx((expected,))
    assert line(lines, "exposure of 1 copy, hard").measured.values == pytest.approx((expected,) * 3)


def test_found_and_recited_are_counted(lines):
    # A share of 1 % of 127 twins is one twin: a canary that at most one twin outranks is found.
    assert pairs(line(lines, "found at 1% FPR, of 16 copies, baseline").counts) == [(7, 8)] * 3
    assert pairs(line(lines, "found at 1% FPR, of 1 copy, baseline").counts) == [(0, 8)] * 3
    assert pairs(line(lines, "recited of 16 copies, teacher").counts) == [(8, 8)]
    assert pairs(line(lines, "recited of 1 copy, teacher").counts) == [(0, 8)]


def test_directions_are_less_than_the_baseline_and_more_with_more_copies(lines):
    assert line(lines, "exposure of 16 copies, teacher").agreement == "agrees"
    assert line(lines, "exposure of 16 copies, teacher").claim == "more than of 1 copy"
    assert line(lines, "exposure of 1 copy, teacher").agreement is None
    assert line(lines, "exposure of 16 copies, soft").agreement == "agrees"
    assert line(lines, "exposure of 16 copies, soft").claim == "less than the baseline"
    assert line(lines, "exposure of 1 copy, hard").agreement == "does not"
    assert line(lines, "exposure of 16 copies, hard").agreement == "cannot be told at this n"


def test_without_canaries_it_is_not_run(by_hand):
    hand = by_hand(range(3))
    assert canaries.canaries(hand.study(hand.model("teacher"), hand.model("soft"))) == ()
