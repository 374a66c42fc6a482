"""The bounds on unfinished continuations, against every way in which they can go on."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq, Levenshtein

from pytest_kdmem.engines.nearness_bounds import Continuations
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.nearness import Nearness

LENGTH = 5
TOKENS = st.integers(0, 2)
FOREIGN = 9  # no suffix holds it


def longest_run(first: list[int], second: list[int]) -> int:
    """Number of consecutive tokens in common, by comparing every piece of one with every piece of the other."""
    pieces = {tuple(second[i:j]) for i in range(len(second)) for j in range(i + 1, len(second) + 1)}
    return max(
        (j - i for i in range(len(first)) for j in range(i + 1, len(first) + 1) if tuple(first[i:j]) in pieces),
        default=0,
    )


def is_near(continuation: list[int], suffix: list[int], nearness: Nearness) -> bool:
    """The definition, by rapidfuzz."""
    within = Levenshtein.normalized_distance(continuation, suffix) <= nearness.delta
    return within or (nearness.run is not None and longest_run(continuation, suffix) >= nearness.run)


@given(
    suffix=st.lists(TOKENS, min_size=LENGTH, max_size=LENGTH),
    hits=st.integers(0, LENGTH),
    following=st.lists(TOKENS | st.just(FOREIGN), max_size=LENGTH),
    delta=st.sampled_from([0.0, 0.2, 0.4, 0.6]),
    run=st.none() | st.integers(1, LENGTH),
)
def test_the_bounds_are_those_of_all_ways_to_go_on(suffix, hits, following, delta, run):
    nearness = Nearness(delta, run)
    begun = [*suffix[:hits], *following][:LENGTH]
    state = Continuations.after_hits(np.array([suffix], np.int32), np.array([hits], np.int32), nearness)
    for token in begun[hits:]:
        state = state.appended(np.array([token], np.int32))
    outcomes = {
        is_near([*begun, *end], suffix, nearness) for end in product([0, 1, 2, FOREIGN], repeat=LENGTH - len(begun))
    }
    assert state.is_near.tolist() == [outcomes == {True}]
    assert state.can_be_near.tolist() == [True in outcomes]
    assert state.is_decided.tolist() == [len(outcomes) == 1]


@given(st.data())
def test_the_distance_of_a_finished_continuation_is_that_of_rapidfuzz(data):
    length = data.draw(st.integers(1, 60))
    tokens = st.lists(st.integers(0, 3), min_size=length, max_size=length)
    suffixes, continuations = (np.array([data.draw(tokens) for _ in range(3)], np.int32) for _ in range(2))
    state = Continuations.after_hits(suffixes, np.zeros(3, np.int32), Nearness())
    for column in continuations.T:
        state = state.appended(column)
    pairs = list(zip(continuations.tolist(), suffixes.tolist(), strict=True))
    assert state.distances[:, -1].tolist() == [Levenshtein.distance(*pair) for pair in pairs]
    assert state.longest.tolist() == [longest_run(*pair) for pair in pairs]
    assert all(LCSseq.similarity(*pair) >= run for pair, run in zip(pairs, state.longest, strict=True))


def test_continuations_of_other_beginnings_stand_side_by_side():
    suffixes = np.array([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3]], np.int32)
    state = Continuations.after_hits(suffixes, np.array([4, 1], np.int32), Nearness(0.2))
    assert state.is_near.tolist() == [True, False]
    state = state.appended(np.array([9, 9], np.int32)).kept(np.array([False, True]))
    assert state.tokens.tolist() == [2]
    assert state.distances.tolist() == [[2, 1, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("delta", "tokens", "edits"), [(0.1, 50, 5), (0.1, 30, 3), (0.29, 100, 29), (0.1, 9, 0), (0, 50, 0)]
)
def test_as_many_edits_are_allowed_as_rapidfuzz_finds_near(delta, tokens, edits):
    assert Nearness(delta).edits(tokens) == edits
    other = [7] * tokens
    for wrong in (edits, edits + 1):
        near = Levenshtein.normalized_distance([*range(100, 100 + wrong), *other[wrong:]], other) <= delta
        assert near == (wrong <= edits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delta": 1.0}, "from 0 to below 1.*found 1.0"),
        ({"delta": -0.1}, "found -0.1"),
        ({"delta": True}, "found True"),
        ({"delta": "0.1"}, "expected as delta"),
        ({"run": 0}, "from 1 was expected as run; found 0"),
        ({"run": 2.5}, "found 2.5"),
    ],
)
def test_a_nearness_out_of_range_is_refused(given, message):
    with pytest.raises(SpecError, match=message):
        Nearness(**given)


def test_a_run_that_no_suffix_holds_is_refused():
    Nearness(run=50).check_fits(50)
    with pytest.raises(SpecError, match="at most the 50 tokens of a suffix was expected; found 51"):
        Nearness(run=51).check_fits(50)
