"""What is too short is counted as distinct examples, with their rows and the greatest number of copies."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.scoring.too_short import TooShort, count_short_rows


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_rows_that_are_too_short_are_counted_one_by_one(drawn):
    rows = pa.table(
        {
            "digest": pa.array([f"{number:032x}" for number, _ in drawn], pa.string()),
            "status": pa.array(["too_short" if short else "scored" for _, short in drawn], pa.string()),
        }
    )
    copies = Counter(number for number, short in drawn if short)
    expected = TooShort(sum(copies.values()), len(copies), max(copies.values(), default=0))
    assert count_short_rows(rows) == expected
    assert bool(expected) == bool(copies)


@pytest.mark.parametrize(
    ("short", "text"),
    [
        (TooShort(21, 6, 16), "6 examples that are too short (21 rows, one stands 16 times)"),
        (TooShort(16, 1, 16), "1 example that is too short (16 rows)"),
        (TooShort(1, 1, 1), "1 example that is too short"),
        (TooShort(6, 6, 1), "6 examples that are too short"),
        (TooShort(21, None), "21 rows that are too short"),
        (TooShort(21, None, 16), "21 rows that are too short, one stands 16 times"),
        (TooShort(1, None), "1 row that is too short"),
    ],
)
def test_reports_name_examples_and_their_rows(short, text):
    assert str(short) == text
