"""Rows of token ids have the masks and labels of others, by which every token of a canary is learned."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.token_rows import token_row_writer
from pytest_kdmem.corpus.columns import to_document
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

CANARY = Canary((7, 8, 9), "ba ce", "di", 1)
BESIDE = ("attention_mask", "labels", "completion_mask", "assistant_masks")
DATA = TrainingSet("train.jsonl")


def row_of(ids: list[int], **values: Any) -> dict[str, Any]:
    return {"input_ids": ids, **values}


def test_masks_and_labels_say_that_all_of_it_is_learned() -> None:
    rows = [
        row_of([1, 2], **{name: [0, 1] for name in BESIDE}),
        row_of([1, 2, 3], **{name: [0] * 3 for name in BESIDE}),
    ]
    columns = ("input_ids", *BESIDE)
    row = token_row_writer(DATA, rows, columns, "train.jsonl")(CANARY, rows[0])
    document = to_document(row, columns, "row")
    assert document.ids.tolist() == [7, 8, 9]
    assert document.learned.all()


def test_labels_that_are_classes_are_left_out_and_a_text_is_that_of_the_canary() -> None:
    rows = [row_of([1, 2], labels=3, text="x"), row_of([1], labels=0, text="y")]
    write = token_row_writer(DATA, rows, ("input_ids", "labels", "text"), "train.jsonl")
    assert write(CANARY, rows[0]) == {"input_ids": [7, 8, 9], "text": "ba ce di"}


def test_rows_of_one_length_end_as_the_row_beside() -> None:
    rows = [row_of([1, 2, 3, 4, 5], labels=[1, 2, 3, 4, -100]), row_of([6, 6, 6, 6, 6], labels=[6] * 5)]
    columns = ("input_ids", "labels")
    write = token_row_writer(DATA, rows, columns, "train.jsonl")
    assert write(CANARY, rows[0]) == {"input_ids": [7, 8, 9, 4, 5], "labels": [7, 8, 9, 4, -100]}
    blocks = TrainingSet("train.jsonl", form="blocks", eos="never")
    assert token_row_writer(blocks, rows, columns, "train.jsonl")(CANARY, rows[0])["input_ids"] == [7, 8, 9]
    with pytest.raises(DataError, match="canary of 3 tokens were expected"):
        write(CANARY, row_of([1, 2], labels=[1, 2]))


@pytest.mark.parametrize("rows", [[row_of([1, 2], text="x"), row_of([3, 4], text="y")], [row_of(None), row_of(None)]])
def test_what_cannot_be_made_like_the_others_is_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="Lists of token ids"):
        token_row_writer(DATA, rows, tuple(rows[0]), "train.jsonl")
