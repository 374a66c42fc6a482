"""Documents are counted by how often they stand, with the lengths of those that stand so often."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.copy_counts import CopyCount, CopyCounter


@given(st.lists(st.integers(0, 12)))
def test_counts_are_those_of_counting_one_by_one(drawn):
    counter = CopyCounter()
    for name in drawn:
        counter.add(sha256(str(name).encode()).hexdigest(), tokens=name // 3)
    by_copies: dict[int, list[int]] = {}
    for name, copies in Counter(drawn).items():
        by_copies.setdefault(copies, []).append(name // 3)
    expected = [
        CopyCount(copies, len(of), min(of), max(of))
        for copies, lengths in sorted(by_copies.items())
        for of in ([tokens for tokens in lengths if not tokens], [tokens for tokens in lengths if tokens])
        if of
    ]
    assert list(counter.counts()) == expected


def test_token_ids_are_counted_by_their_values_whatever_their_width():
    counter = CopyCounter()
    for kind in (np.int32, np.uint16, np.int64):
        counter.add_ids(np.array([5, 6, 7], kind))
    counter.add_ids(np.array([5, 6], np.int32))
    assert counter.counts() == (CopyCount(1, 1, 2, 2), CopyCount(3, 1, 3, 3))
