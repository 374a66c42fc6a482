"""Near-duplicates are those that brute force finds."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.near_duplicates import jaccard, near_duplicates, shingles


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
        one, other = runs(first), runs(second)
        assert len(shingles(first)) == len(one)
        assert jaccard(shingles(first), shingles(second)) == len(one & other) / len(one | other)


def test_they_are_those_that_brute_force_finds():
    examples = corpus()
    wanted = frozenset(example.digest for example in examples[:60])
    known = {example.digest: runs(example.ids) for example in examples[:60]}
    expected = set()
    for example in examples:
        own = runs(example.ids)
        others = [one for name, one in known.items() if name != example.digest]
        if any(len(own & one) / len(own | one) >= 0.8 for one in others):
            expected.add(example.position)
    found = list(near_duplicates(lambda: examples, wanted))
    assert {one.example_id for one in found} == expected == {at for at in range(60, 120) if at % 3 < 2}
    for one in found:
        assert one.of == examples[(one.example_id - 60) // 3].digest


def test_a_copy_is_no_near_duplicate_of_itself():
    examples = corpus()
    found = near_duplicates(lambda: examples, frozenset({examples[3].digest}))
    assert 120 not in {one.example_id for one in found}


def test_only_those_among_which_the_wanted_are_need_be_given():
    examples = corpus()
    wanted = frozenset(example.digest for example in examples[:5])
    whole = list(near_duplicates(lambda: examples, wanted))
    assert list(near_duplicates(lambda: examples, wanted, lambda: examples[:5])) == whole


def test_where_nothing_is_wanted_nothing_is_read():
    assert list(near_duplicates(lambda: 1 / 0, frozenset())) == []
