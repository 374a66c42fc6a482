"""The column of documents is found by name, and its values are text or token ids."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.columns import TokenRow, find_columns, to_document, to_token_ids
from pytest_kdmem.errors import DataError


@pytest.mark.parametrize(
    ("names", "text_column", "expected"),
    [
        (["id", "text"], "text", ["text"]),
        (["text", "body"], "body", ["body"]),
        (["text", "input_ids"], "text", ["input_ids", "text"]),
        (["input_ids"], "input_ids", ["input_ids"]),
        (["input_ids", "body"], "body", ["body"]),
        (["input_ids", "text"], "input_ids", ["input_ids"]),
        (
            ["labels", "token_type_ids", "input_ids", "attention_mask"],
            "text",
            ["input_ids", "attention_mask", "labels"],
        ),
    ],
)
def test_token_ids_are_taken_before_text_unless_another_column_is_named(names, text_column, expected):
    assert list(find_columns(names, text_column, "a.jsonl")) == expected


@pytest.mark.parametrize("names", [["id", "body"], []])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(names):
    with pytest.raises(DataError, match=f"'text' was expected in a.jsonl; found {', '.join(names) or 'none'}: name"):
        find_columns(names, "text", "a.jsonl")


def test_a_document_is_text_or_token_ids():
    assert to_document({"text": "ä"}, ["text"], "row 1") == "ä"
    assert to_document({"input_ids": [1, 2]}, ["input_ids"], "row 1").tolist() == [1, 2]


def test_what_no_tokenizer_accepts_is_replaced():
    assert to_document({"text": "a\ud800b"}, ["text"], "row 1") == "a?b"


@pytest.mark.parametrize("value", [None, 3, ["a"], b"a"])
def test_what_is_no_text_is_refused_with_its_place(value):
    with pytest.raises(DataError, match=r"Text was expected in column 'text', row 1; found"):
        to_document({"text": value}, ["text"], "row 1")


@pytest.mark.parametrize("value", [[], [0, 2**31 - 1], np.array([5], dtype=np.uint8), (1, 2)], ids=str)
def test_whole_numbers_of_31_bits_are_token_ids(value):
    ids = to_token_ids(value, "row 1")
    assert ids.dtype == np.int32
    assert ids.tolist() == list(value)


@pytest.mark.parametrize("value", ["12", None, 3, [1.5], [[1], [2]], [[1], [2, 3]], ["a"], [None]], ids=str)
def test_what_is_no_list_of_whole_numbers_is_refused(value):
    with pytest.raises(DataError, match=r"A list of token ids was expected in row 1"):
        to_token_ids(value, "row 1")


@pytest.mark.parametrize("value", [[-1], [2**31]], ids=str)
def test_numbers_that_are_no_token_ids_are_refused(value):
    with pytest.raises(DataError, match=rf"from 0 up were expected in row 1; found {value[0]} to {value[0]}"):
        to_token_ids(value, "row 1")


@pytest.mark.parametrize("names", [["text", "text"], ["input_ids", "text", "input_ids"], ["text", "id", "text"]])
def test_a_column_that_is_there_twice_is_refused(names):
    """Which of the two training read is unknown."""
    with pytest.raises(DataError, match=r"One column '(text|input_ids)' was expected in the file, and there are 2"):
        find_columns(names, "text", "the file")


def test_another_column_may_be_there_twice():
    assert find_columns(["text", "id", "id"], "text", "the file") == ("text",)


def row_of(**values) -> TokenRow:
    row = to_document(values, list(values), "row 1")
    assert isinstance(row, TokenRow)
    return row


@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        ([1, 1, 1, 1, 1], [7, 7, 5, 6, 7]),
        ([0, 0, 1, 1, 0], [5, 6]),
        ([False, True, True, True, True], [7, 5, 6, 7]),
        ([1, 2, 2, 3, 0], [7, 7, 5, 6]),
        ([0, 0, 0, 0, 0], []),
    ],
)
def test_padding_is_what_the_mask_leaves_out(mask, kept):
    assert row_of(input_ids=[7, 7, 5, 6, 7], attention_mask=mask).ids.tolist() == kept


def test_without_a_mask_padding_is_the_ends_of_one_token_that_labels_leave_out():
    row = row_of(input_ids=[0, 0, 5, 6, 0, 0], labels=[-100, -100, -100, 6, -100, -100])
    assert (row.ids.tolist(), row.learned.tolist()) == ([5, 6], [False, True])
    prompt = row_of(input_ids=[1, 5, 6, 0], labels=[-100, -100, 6, 0])
    assert (prompt.ids.tolist(), prompt.learned.tolist()) == ([1, 5, 6, 0], [False, False, True, True])


@pytest.mark.parametrize("mask", [None, [1, 1, 1, 1, 1, 0]])
@pytest.mark.parametrize(
    ("labels", "kept"),
    [([-100, 5, 6, 2, -100, -100], [1, 5, 6, 2]), ([-100, 5, -100, 2, 9, -100], [1, 5, 6, 2, 9]), ([-100] * 6, [])],
)
def test_behind_the_last_label_no_token_is_of_the_example(mask, labels, kept):
    row = row_of(input_ids=[1, 5, 6, 2, 9, 0], labels=labels, **({"attention_mask": mask} if mask else {}))
    assert row.ids.tolist() == kept
    assert len(row.learned) == len(kept)


def test_tokens_are_learned_where_labels_and_masks_of_the_loss_agree():
    row = row_of(input_ids=[1, 5, 6], attention_mask=[1, 1, 1], labels=[1, -100, 6], completion_mask=[0, 1, 1])
    assert row.learned.tolist() == [False, False, True]


def test_values_that_do_not_belong_to_the_tokens_are_left_aside():
    ids = to_document({"input_ids": [1, 5], "labels": 3, "text": ["a"]}, ["input_ids", "labels", "text"], "row 1")
    assert ids.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"attention_mask": [1, 0, 1]}, "an attention_mask that leaves out tokens between others"),
        ({"attention_mask": [1, 1]}, "As many values of attention_mask as token ids .* found 2 and 3"),
        ({"attention_mask": "111"}, "A list of attention_mask of whole numbers was expected in row 1"),
        ({"labels": [5, 6, -100]}, "Labels that are the token ids, or -100, were expected in row 1"),
    ],
)
def test_what_contradicts_the_token_ids_is_refused(beside, expected):
    with pytest.raises(DataError, match=expected):
        row_of(input_ids=[1, 5, 6], **beside)
