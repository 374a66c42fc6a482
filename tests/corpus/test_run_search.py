"""Runs are found wherever they stand in a stream, however it is cut into parts, as a search of all of it finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus import run_search
from pytest_kdmem.corpus.run_search import RunSearch

# Few different numbers, so that runs recur, overlap and begin alike.
numbers = st.lists(st.integers(0, 2), max_size=60)
runs = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), max_size=12)


def stands_in(run: list[int], stream: list[int]) -> bool:
    return any(stream[place : place + len(run)] == run for place in range(len(stream) - len(run) + 1))


@given(st.lists(numbers, max_size=5), runs, st.sampled_from([1, 7, 1 << 18]))
def test_what_is_found_is_what_stands_there(parts: list[list[int]], sought: list[list[int]], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_search, "NUMBERS_AT_ONCE", at_once)
        search = RunSearch([np.array(run, dtype=np.int32) for run in sought])
        for part in parts:
            search.add(np.array(part, dtype=np.int32))
        stream = [number for part in parts for number in part]
        assert search.found().tolist() == [stands_in(run, stream) for run in sought]


def test_runs_of_equal_hash_are_told_apart_number_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_search, "BASE", 1)  # the hash is the sum
    monkeypatch.setattr(run_search, "INVERSE", 1)
    search = RunSearch([np.array([1, 2, 3, 4]), np.array([4, 3, 2, 1])])
    search.add(np.array([9, 4, 3, 2, 1, 9]))
    assert search.found().tolist() == [False, True]


def test_long_streams_of_large_ids_are_searched_in_pieces() -> None:
    random = np.random.default_rng(0)
    stream = random.integers(0, 150_000, 700_000).astype(np.int32)
    starts = random.integers(0, len(stream) - 50, 300)
    held = [stream[start : start + 50] for start in starts]
    absent = [np.append(run[:-1], run[-1] + 150_000) for run in held]
    search = RunSearch([*held, *absent])
    for part in np.array_split(stream, 90):
        search.add(part)
    assert search.found().tolist() == [True] * 300 + [False] * 300
