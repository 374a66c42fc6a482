"""Exact copies are found among the rows of a table, whatever its digests look like and however it is cut."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_kdmem.metrics.distinct_rows import distinct_rows

# Some of 32 letters, as the package writes them, that differ in one word only; and others.
DIGESTS = st.sampled_from([f"{index:032x}" for index in (0, 1, 1 << 32, 1 << 64, 1 << 96)] * 2) | st.sampled_from("ab")
SCHEMA = pa.schema([("digest", pa.string()), ("status", pa.string()), ("flag", pa.bool_()), ("row", pa.float32())])
ROWS = st.tuples(DIGESTS, st.sampled_from(["scored", "scored", "too_short"]), st.sampled_from([True, False, None]))


def table(rows: list[tuple[str, str, bool | None]], chunk: int) -> pa.Table:
    columns = [pa.array([row[index] for row in rows], kind) for index, kind in enumerate(SCHEMA.types[:3])]
    whole = pa.table([*columns, pa.array(range(len(rows)), pa.float32())], schema=SCHEMA)
    return pa.concat_tables([whole.slice(start, chunk) for start in range(0, len(rows), chunk)] or [whole])


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_kdmem.metrics.distinct_rows.ROWS_AT_ONCE", 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=40), st.integers(1, 9), st.booleans())
def test_an_example_stands_for_all_of_its_copies(rows, chunk: int, has_long_digests_only: bool) -> None:
    if has_long_digests_only:
        rows = [row for row in rows if len(row[0]) == 32]
    copies: dict[str, list[int]] = {}
    for index, (digest, status, _) in enumerate(rows):
        if status == "scored":
            copies.setdefault(digest, []).append(index)
    scores = table(rows, chunk)
    distinct = distinct_rows(scores)
    assert len(distinct) == len(copies)
    assert distinct.at_first(scores["digest"]).to_pylist() == list(copies)
    assert distinct.copies.tolist() == [len(indices) for indices in copies.values()]
    assert distinct.values(scores["row"]).tolist() == [indices[0] for indices in copies.values()]
    assert distinct.of_any_copy(scores["flag"]).tolist() == [
        any(rows[index][2] for index in indices) for indices in copies.values()
    ]
    every_second = np.arange(len(copies)) % 2 == 0
    chosen = scores.filter(distinct.row_mask(every_second))
    assert chosen["row"].to_pylist() == [indices[0] for indices in copies.values()][::2]


def test_copies_are_found_across_chunks_of_which_some_are_empty() -> None:
    chunks = [[0, 1, 2], [], [3, 4, 5], [5, 2, 6]]
    digests = [pa.array([f"{index:032x}" for index in chunk], pa.string()) for chunk in chunks]
    whole = pa.chunked_array(digests)
    distinct = distinct_rows(pa.table({"digest": whole, "status": ["scored"] * len(whole)}))
    assert distinct.further.tolist() == [6, 7]
    assert distinct.original.tolist() == [5, 2]


def test_a_null_is_not_a_number() -> None:
    scores = table([("a", "scored", None), ("b", "scored", True)], 2)
    assert np.isnan(distinct_rows(scores).values(scores["flag"])).tolist() == [True, False]


def test_models_over_the_same_examples_share_what_their_copies_are_until_none_needs_it() -> None:
    rows = [(f"{index:032x}", "scored", True) for index in (5, 6, 5)]
    distinct = distinct_rows(table(rows, 2))
    assert distinct_rows(table(rows, 2)) is distinct
    assert distinct_rows(table(rows[:2], 2)) is not distinct
    assert distinct_rows(table([*rows[:2], (rows[2][0], "too_short", True)], 2)) is not distinct
    in_use = weakref.ref(distinct)
    del distinct
    gc.collect()
    assert in_use() is None
