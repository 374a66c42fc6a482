"""A canary is a row like the others, with its suffix on the side that is learned."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.rows import row_writer
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

CANARY = Canary((7, 8, 9), "ba ce", "di", 1)
USER, ANSWER = "ba ce", "di"


@pytest.mark.parametrize(
    ("row", "declared", "expected"),
    [
        ({"text": "x", "id": 3}, {}, {"text": "ba ce di"}),
        ({"body": "x"}, {"text_column": "body"}, {"body": "ba ce di"}),
        ({"input_ids": [1, 2]}, {}, {"input_ids": [7, 8, 9]}),
        (
            {"messages": [{"role": "user", "content": "a"}]},
            {},
            {"messages": [{"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}]},
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}]},
            {},
            {"conversations": [{"from": "human", "value": USER}, {"from": "gpt", "value": ANSWER}]},
        ),
        ({"prompt": "a", "completion": "b"}, {}, {"prompt": "ba ce ", "completion": "di"}),
        (
            {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
            {},
            {
                "prompt": [{"role": "user", "content": USER}],
                "completion": [{"role": "assistant", "content": ANSWER}],
            },
        ),
        (
            {"q": "a", "more": "b", "a": "c"},
            {"chat_columns": "user=q+more,assistant=a"},
            {"q": USER, "more": "", "a": ANSWER},
        ),
    ],
)
def test_rows_have_the_columns_of_others(row: dict[str, Any], declared: dict[str, Any], expected: dict) -> None:
    writer = row_writer(TrainingSet("train.jsonl", **declared), [row], "train.jsonl")
    assert writer.write(CANARY, row) == expected
    assert writer.is_chat == (set(row) not in ({"text", "id"}, {"body"}, {"input_ids"}))


def test_rows_that_are_neither_are_refused() -> None:
    with pytest.raises(DataError, match="Column"):
        row_writer(TrainingSet("train.jsonl"), [{"content": "x"}], "train.jsonl")
