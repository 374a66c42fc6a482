"""Near-duplicates are those that brute force finds."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.near_duplicates import jaccard, near_duplicates, near_pairs, shingles


def runs(ids: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(ids[at : at + 5].tolist()) for at in range(max(1, len(ids) - 4))}


def corpus() -> list[Example]:
    """60 rows of their own, and of the first 20 one each with a token replaced, cut short, and changed throughout."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 500, 120).astype(np.int32) for _ in range(60)]
    changed = []
    for at in range(20):
        replaced = rows[at].copy()
        replaced[50] = 999
        mostly = rows[at].copy()
        mostly[::9] = 998
        changed += [replaced, rows[at][:110], mostly]
    return [Example(at, row) for at, row in enumerate([*rows, *changed, rows[3]])]


def test_shingles_and_their_overlap_are_those_of_a_plain_account():
    rng = np.random.default_rng(1)
    for _ in range(50):
        first, second = (rng.integers(0, 3, rng.integers(1, 30)).astype(np.int32) for _ in range(2))
        first_runs, second_runs = runs(first), runs(second)
        shared, total = len(first_runs & second_runs), len(first_runs | second_runs)
        assert len(shingles(first)) == len(first_runs)
        assert jaccard(shingles(first), shingles(second)) == shared / total


def test_they_are_those_that_brute_force_finds():
    examples = corpus()
    wanted = frozenset(example.digest for example in examples[:60])
    wanted_runs = {example.digest: runs(example.ids) for example in examples[:60]}
    expected = set()
    for example in examples:
        own = runs(example.ids)
        candidates = [entry for digest, entry in wanted_runs.items() if digest != example.digest]
        if any(len(own & candidate) / len(own | candidate) >= 0.8 for candidate in candidates):
            expected.add(example.position)
    duplicates = list(near_duplicates(lambda: examples, wanted))
    assert {duplicate.example_id for duplicate in duplicates} == expected == {at for at in range(60, 120) if at % 3 < 2}
    for duplicate in duplicates:
        assert duplicate.duplicate_of == examples[(duplicate.example_id - 60) // 3].digest


def test_a_copy_is_no_near_duplicate_of_itself():
    examples = corpus()
    duplicates = near_duplicates(lambda: examples, frozenset({examples[3].digest}))
    assert 120 not in {duplicate.example_id for duplicate in duplicates}


def test_only_those_among_which_the_wanted_are_need_be_given():
    examples = corpus()
    wanted = frozenset(example.digest for example in examples[:5])
    whole = list(near_duplicates(lambda: examples, wanted))
    assert list(near_duplicates(lambda: examples, wanted, lambda: examples[:5])) == whole


def test_where_nothing_is_wanted_nothing_is_read():
    assert list(near_duplicates(lambda: 1 / 0, frozenset())) == []


def test_of_two_sets_all_that_are_near_are_found_on_either_side():
    examples = corpus()
    # Each of the first 20 rows has two near-duplicates: of the replaced ones and the short ones some are wanted.
    wanted = [examples[at] for at in range(60, 120) if at % 3 < 2 and at % 7]
    rest = [example for example in examples if all(example is not other for other in wanted)]
    expected_rest, expected_wanted = set(), set()
    for example in rest:
        for other in wanted:
            first, second = runs(example.ids), runs(other.ids)
            if example.digest != other.digest and len(first & second) / len(first | second) >= 0.8:
                expected_rest.add(example.digest)
                expected_wanted.add(other.digest)
    pairs = list(near_pairs(lambda: rest, frozenset(example.digest for example in wanted), lambda: wanted))
    assert {digest for digest, _ in pairs} == expected_rest
    assert set().union(*(near for _, near in pairs)) == expected_wanted
    assert len(expected_wanted) == len(wanted)
    assert list(near_pairs(lambda: rest, frozenset(), lambda: wanted)) == []
