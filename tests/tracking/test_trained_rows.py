"""Examples are looked for in a trainer's rows token by token; rows that never held them are refused."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.tracking import trained_rows
from pytest_kdmem.tracking.trained_rows import check_trained_on

LENGTHS = Extraction(3, 3, 8)
BOS = 1
ROWS = np.random.default_rng(0).integers(5, 90, (20, 8), dtype=np.int32)
EXAMPLES = [Example(position, ids) for position, ids in enumerate(ROWS)]


def rows_of(sequences: Any) -> list[dict[str, list[int]]]:
    return [{"input_ids": list(map(int, sequence))} for sequence in sequences]


def check(rows: Any) -> None:
    check_trained_on(EXAMPLES, LENGTHS, rows, "train.jsonl")


@pytest.mark.parametrize(
    "sequences",
    [
        list(ROWS),
        list(ROWS[:, :6]),  # cut to what is scored
        [ROWS.reshape(-1)],  # packed
        [*ROWS[:5], *(row[1:] for row in ROWS[5:])],  # a quarter is enough, as packing cuts examples in two
        [[BOS, *ROWS[0]], *ROWS[1:]],  # one chance place behind another token
    ],
    ids=["rows", "cut", "packed", "a quarter", "one behind a token"],
)
def test_rows_that_hold_the_examples_are_those_of_the_training(sequences: Any) -> None:
    check(rows_of(sequences))
    check(datasets.Dataset.from_list(rows_of(sequences)))


def test_rows_with_a_token_before_each_example_are_refused() -> None:
    with pytest.raises(SpecError, match=r"of training set train\.jsonl, and the rows have a token before its examples"):
        check(rows_of([BOS, *row] for row in ROWS))


def test_rows_that_lack_the_first_token_are_refused() -> None:
    with pytest.raises(SpecError, match="its examples begin with a token that the rows lack, such as BOS; declare add"):
        check(rows_of(row[1:] for row in ROWS))


@pytest.mark.parametrize(("held", "words"), [(0, "none of 20"), (4, "4 of 20")])
def test_rows_of_other_text_are_refused_by_what_they_hold(held: int, words: str) -> None:
    with pytest.raises(SpecError, match=f"the rows hold {words} examples of it; declare the set, and how it is read"):
        check(rows_of([*ROWS[:held], *(row[::-1] for row in ROWS[held:])]))


@pytest.mark.parametrize(
    "rows", [None, iter([]), [], [{"text": "a"}], datasets.Dataset.from_list([{"text": "a"}]), object()], ids=range(6)
)
def test_what_is_not_known_is_not_refused(rows: Any) -> None:
    check(rows)


def test_more_rows_than_are_looked_at_may_hold_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [row[::-1] for row in ROWS]
    monkeypatch.setattr(trained_rows, "MOST_TOKENS", 60)
    check(rows_of([*ROWS[:1], *others]))  # one is found, and the others may come later
    with pytest.raises(SpecError, match="its examples begin with a token that the rows lack"):
        check(rows_of([*(row[1:] for row in ROWS), *others]))


@given(data=st.data())
def test_the_place_of_token_ids_is_the_first_one_of_a_plain_search(data: st.DataObject) -> None:
    """Bytes of two neighbouring ids can look like a third, which is no place."""
    ids = st.integers(0, 2).map(lambda id: id * 256)
    rows = data.draw(st.lists(st.lists(ids, max_size=6), min_size=1, max_size=4))
    text = data.draw(st.lists(ids, min_size=1, max_size=3))
    places = [min(at, 2) for row in rows for at in range(len(row) - len(text) + 1) if row[at : at + len(text)] == text]
    joined, is_whole = trained_rows._join(iter(rows))
    assert is_whole
    assert trained_rows._offset(joined, np.array(text, np.int32)) == (places[0] if places else None)
