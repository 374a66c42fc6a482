"""Padding without a mask is found at the ends of rows, and text that repeats a token is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.padding import PaddingCheck
from pytest_kdmem.errors import DataError

PAD = 9
TEXT = [5, 6, 7, 5, 8, 6]


def look_at(*rows: list[int]) -> None:
    check = PaddingCheck(frozenset({PAD}), "a.npy")
    for number, row in enumerate(rows, start=1):
        check.add(np.array(row, np.int32), f"row {number}")
    check.finish()


@pytest.mark.parametrize("row", [[PAD, PAD, *TEXT], [*TEXT, PAD, PAD], [PAD, PAD]])
def test_a_run_of_a_special_token_at_an_end_is_padding(row):
    with pytest.raises(DataError, match=f"were expected in row 2; found a run of the special token {PAD} at an end"):
        look_at(TEXT, row)


@pytest.mark.parametrize("row", [[PAD, *TEXT], [*TEXT, PAD], [*TEXT, PAD, PAD, *TEXT], [], [5] * 8])
def test_a_special_token_at_an_end_and_runs_elsewhere_are_none(row):
    look_at(row, row, row)


@pytest.mark.parametrize("side", ["left", "right"])
def test_many_rows_that_end_in_a_run_of_one_token_are_padded(side):
    padded = [0] * 4 + TEXT if side == "left" else TEXT + [0] * 4
    with pytest.raises(DataError, match=r"found 5 of 100 rows with a run of token 0 at an end"):
        look_at(*[TEXT] * 95, *[padded] * 5)


def test_a_few_such_rows_among_many_are_text():
    look_at(*[TEXT] * 97, *[TEXT + [0] * 4] * 3)


def test_padding_is_noticed_before_the_end_of_a_long_set():
    rows = (row for row in [[*TEXT, 0, 0, 0, 0]] * 10_000)
    with pytest.raises(DataError, match="found 256 of 256 rows"):
        look_at(*rows)
