"""The columns of a verdict are its three readings, in the order in which flags are made of them."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from tests.metrics.score_tables import memorization_from, row


def test_every_reading_of_a_verdict_is_a_column_in_the_order_of_the_flags() -> None:
    assert get_args(FlagColumn) == FLAG_COLUMNS == tuple(field.name for field in fields(MemorizedFlags))


def test_what_is_sure_is_observed_and_what_is_observed_is_possible() -> None:
    rows = [row(f"{at}", memorized=at // 2 == 1, ambiguous=at % 2 == 1) for at in range(4)]
    observed, sure, possible = (memorization_from(rows).flags(column).tolist() for column in FLAG_COLUMNS)
    assert observed == [False, False, True, True]
    assert sure == [False, False, True, False]
    assert possible == [False, True, True, True]
