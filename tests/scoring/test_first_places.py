"""What was added to the index of first rows is looked up again, in 16 bytes an entry."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.scoring.first_places import FirstPlaces, digest_prefixes

# Some that a float64 cannot tell apart, too.
PREFIXES = st.integers(0, 60) | st.integers(2**64 - 20, 2**64 - 1)


@given(st.lists(st.lists(PREFIXES, max_size=12), max_size=12), st.lists(PREFIXES, max_size=20))
def test_it_answers_as_a_dictionary_does(batches, questions):
    index, expected = FirstPlaces(), {}
    for batch in batches:
        new = sorted({value for value in batch if value not in expected}, key=batch.index)
        places = {value: len(expected) + at for at, value in enumerate(new)}
        index.add(np.array(new, np.uint64), np.array(list(places.values()), np.int64))
        expected |= places
        asked = np.array(questions, np.uint64)
        assert index.find(asked).tolist() == [expected.get(value, -1) for value in questions]
        lengths = [len(prefixes) for prefixes, _ in index._segments]
        assert all(longer > 2 * shorter for longer, shorter in pairwise(lengths))
    assert len(index) == len(expected)


def test_it_takes_sixteen_bytes_an_entry():
    random = np.random.default_rng(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    index = FirstPlaces()
    for shard in range(100):
        index.add(random.integers(0, 1 << 63, 1_000, dtype=np.uint64), np.arange(1_000) + shard * 1_000)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held < 17 * len(index)


def test_prefixes_are_the_first_64_bits_of_a_digest():
    assert digest_prefixes(["00000000000001ff" + "a" * 16, "f" * 32]).tolist() == [511, 2**64 - 1]
    assert digest_prefixes([]).tolist() == []
