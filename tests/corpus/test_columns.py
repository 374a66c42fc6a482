"""The column of documents is found by name, and its values are text or token ids."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.columns import find_column, to_document, to_token_ids
from pytest_kdmem.errors import DataError


@pytest.mark.parametrize(
    ("names", "text_column", "expected"),
    [
        (["id", "text"], "text", "text"),
        (["text", "body"], "body", "body"),
        (["text", "input_ids"], "text", "input_ids"),
        (["input_ids"], "input_ids", "input_ids"),
        (["input_ids", "body"], "body", "body"),
    ],
)
def test_token_ids_are_taken_before_text_unless_another_column_is_named(names, text_column, expected):
    assert find_column(names, text_column, "a.jsonl") == expected


@pytest.mark.parametrize("names", [["id", "body"], []])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(names):
    with pytest.raises(DataError, match=f"'text' was expected in a.jsonl; found {', '.join(names) or 'none'}: name"):
        find_column(names, "text", "a.jsonl")


def test_a_document_is_text_or_token_ids():
    assert to_document("ä", "text", "row 1") == "ä"
    assert to_document([1, 2], "input_ids", "row 1").tolist() == [1, 2]


def test_what_no_tokenizer_accepts_is_replaced():
    assert to_document("a\ud800b", "text", "row 1") == "a?b"


@pytest.mark.parametrize("value", [None, 3, ["a"], b"a"])
def test_what_is_no_text_is_refused_with_its_place(value):
    with pytest.raises(DataError, match=r"Text was expected in column 'text', row 1; found"):
        to_document(value, "text", "row 1")


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
        find_column(names, "text", "the file")


def test_another_column_may_be_there_twice():
    assert find_column(["text", "id", "id"], "text", "the file") == "text"
