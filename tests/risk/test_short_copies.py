"""Copies of what is too short are found document by document, and what stands several times is counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.risk.short_copies import Repeated, find_repeated, find_short_copies
from pytest_kdmem.scoring.too_short import TooShort


def table(documents: list[list[int]]) -> tuple[pa.Table, np.ndarray]:
    """Rows of documents whose examples are numbers, of which the odd ones are too short."""
    numbers = [number for document in documents for number in document]
    rows = pa.table(
        {
            "example_id": pa.array(range(len(numbers)), pa.int64()),
            "digest": pa.array([f"{number:032x}" for number in numbers], pa.string()),
            "status": pa.array(["too_short" if number % 2 else "scored" for number in numbers], pa.string()),
        }
    )
    of_row = [index for index, document in enumerate(documents) for _ in document]
    return rows, np.array(of_row, dtype=np.int64)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=2), max_size=15))
def test_a_document_is_a_further_copy_if_an_earlier_one_has_the_same_examples(documents):
    rows, of_row = table(documents)
    expected, position = {}, 0
    for index, document in enumerate(documents):
        is_copy = any(earlier == document for earlier in documents[:index])
        for number in document:
            if is_copy and number % 2:
                expected[position] = f"{number:032x}"
            position += 1
    groups = find_short_copies(rows, of_row)
    assert dict(row for group in groups for row in group.rows) == expected
    times = Counter(map(tuple, documents))
    often = [count - 1 for document, count in times.items() if count > 1 and any(number % 2 for number in document)]
    assert [group.documents for group in groups] == sorted(often, reverse=True)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_what_stands_several_times_is_counted(numbers):
    rows, _ = table([[number] for number in numbers])
    scored, short = (Counter(number for number in numbers if number % 2 == odd) for odd in (0, 1))
    repeated = [count for count in scored.values() if count > 1]
    expected = TooShort(sum(short.values()), len(short), max(short.values(), default=0))
    assert find_repeated(rows) == Repeated(len(repeated), max(repeated, default=0), expected)
