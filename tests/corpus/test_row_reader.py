"""What a row is follows from the names of its columns and from what is declared; where both leave a choice, none is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_kdmem.corpus.conversations import Completion, Conversation
from pytest_kdmem.corpus.row_reader import DeclaredColumns, GroupsOf, columns_of, row_reader
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

ROW: dict[str, Any] = {
    "text": "a text",
    "body": "a body",
    "input_ids": [1, 2, 3],
    "messages": [{"role": "user", "content": "why"}, {"role": "assistant", "content": "so"}],
    "conversations": [{"from": "human", "value": "why"}, {"from": "gpt", "value": "so"}],
    "prompt": "why",
    "completion": "so",
    "owner": "ada",
    "tools": None,
}


def read(names: list[str], **declared: Any) -> Any:
    """What a row with these columns is."""
    reader = row_reader(names, DeclaredColumns(**declared), "train.jsonl")
    assert set(reader.columns) <= set(names)
    return reader.document({name: ROW[name] for name in reader.columns}, "row 1")


@pytest.mark.parametrize(
    ("names", "declared", "document"),
    [
        (["text"], {}, "a text"),
        (["text", "owner"], {}, "a text"),
        (["text", "body"], {"text": "body"}, "a body"),
        (["text", "messages"], {"chat": "none"}, "a text"),
        (["messages", "body"], {"text": "body"}, "a body"),
        (["prompt", "completion"], {}, Completion("why", "so", "row 1")),
        (["prompt", "completion", "messages"], {"chat": "prompt,completion"}, Completion("why", "so", "row 1")),
        (["text", "owner"], {"group": "owner"}, "ada"),
    ],
)
def test_a_row_is_what_its_columns_and_the_declaration_say(
    names: list[str], declared: dict[str, Any], document: Any
) -> None:
    assert read(names, **declared) == document


@pytest.mark.parametrize(
    ("names", "declared"),
    [
        (["messages"], {}),
        (["conversations"], {}),
        (["messages", "tools"], {}),
        (["text", "messages"], {"chat": "messages"}),
        (["messages", "conversations"], {"chat": "messages=conversations"}),
        (["prompt", "completion"], {"chat": "user=prompt,assistant=completion"}),
    ],
)
def test_columns_of_messages_are_conversations(names: list[str], declared: dict[str, Any]) -> None:
    conversation = read(names, **declared)
    assert isinstance(conversation, Conversation)
    assert [(message["role"], message["content"]) for message in conversation.messages] == [
        ("user", "why"),
        ("assistant", "so"),
    ]


def test_token_ids_are_read_where_there_are_some() -> None:
    np.testing.assert_array_equal(np.asarray(read(["input_ids", "owner"])), [1, 2, 3])


@pytest.mark.parametrize(
    "names",
    [
        ["text", "messages"],
        ["messages", "conversations"],
        ["messages", "prompt", "completion"],
        ["input_ids", "prompt", "completion"],
    ],
)
def test_several_kinds_of_columns_are_refused_unless_one_is_declared(names: list[str]) -> None:
    with pytest.raises(DataError, match=r"One kind of columns .* was expected in train\.jsonl; found"):
        read(names)


def test_columns_that_are_declared_and_missing_are_named() -> None:
    with pytest.raises(DataError, match=r"and .*answer.* are missing; found"):
        read(["question", "text"], chat="user=question,assistant=answer")
    with pytest.raises(DataError, match=r"with groups was expected in .*; found .*text.*--kdmem-group-column"):
        read(["text"], group="owner")


@pytest.mark.parametrize("column", ["messages", "prompt", "completion", "conversations"])
def test_what_holds_the_text_names_no_groups(column: str) -> None:
    with pytest.raises(DataError, match="which holds the text of the examples"):
        read(list(dict.fromkeys([column, "prompt", "completion"])), group=column)


def test_the_columns_of_a_set_are_those_it_declares_and_of_groups_alone_where_these_are_read() -> None:
    declared = {"text_column": "body", "chat_columns": "none", "group_column": "owner"}
    assert columns_of(TrainingSet("train.jsonl", **declared)) == DeclaredColumns("body", "none")  # type: ignore[arg-type]
    assert columns_of(GroupsOf("train.jsonl", **declared)) == DeclaredColumns("body", "none", "owner")  # type: ignore[arg-type]
