"""Writes canaries as rows of a training set: texts, token ids or conversations, never with the secret in the prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.token_rows import token_row_writer
from pytest_kdmem.corpus.columns import IDS_COLUMN
from pytest_kdmem.corpus.conversations import ASSISTANT, SHAREGPT_ROLES
from pytest_kdmem.corpus.row_reader import columns_of, row_reader
from pytest_kdmem.specs.chat_columns import COMPLETION, MESSAGES
from pytest_kdmem.specs.declared import TrainingSet

Row = dict[str, Any]


@dataclass(frozen=True)
class RowWriter:
    """How a canary becomes a row.

    Attributes:
        write: Makes the values of a row's columns, from the canary and from the row beside which it will stand.
        is_chat: Whether the suffix is an answer, and the prefix stands in the prompt.
    """

    write: Callable[[Canary, Row], Row]
    is_chat: bool = False


def row_writer(training_set: TrainingSet, rows: Sequence[Row], where: str) -> RowWriter:
    """Return how canaries become rows like the first ones of a training set.

    Args:
        training_set: The training set.
        rows: Its first rows, at least one.
        where: The source, in messages.

    Raises:
        DataError: What the rows hold cannot be told.
    """
    first = rows[0]
    reader = row_reader(tuple(first), columns_of(training_set), where)
    if reader.chat is None and reader.columns[0] == IDS_COLUMN:
        return RowWriter(token_row_writer(training_set, rows, reader.columns, where))
    if reader.chat is None:
        return RowWriter(lambda canary, beside: {training_set.text_column: canary.text})
    columns = dict(reader.chat.columns)
    if reader.chat.parts == MESSAGES:
        [name] = columns["messages"]
        return RowWriter(lambda canary, beside: {name: _messages(canary, first[name])}, is_chat=True)
    if set(reader.chat.parts) == set(COMPLETION):
        [prompt], [completion] = columns["prompt"], columns["completion"]
        return RowWriter(lambda canary, beside: _completion(canary, first, prompt, completion), is_chat=True)
    return RowWriter(lambda canary, beside: _texts(canary, columns), is_chat=True)


def _messages(canary: Canary, like: Any) -> list[Row]:
    """A question and its answer, with the keys of other messages."""
    is_sharegpt = bool(like) and "from" in like[0]
    role, content = ("from", "value") if is_sharegpt else ("role", "content")
    user, assistant = tuple(SHAREGPT_ROLES) if is_sharegpt else ("user", ASSISTANT)
    return [{role: user, content: canary.prefix}, {role: assistant, content: canary.suffix}]


def _completion(canary: Canary, like: Mapping[str, Any], prompt: str, completion: str) -> Row:
    if isinstance(like[prompt], str):
        return {prompt: f"{canary.prefix} ", completion: canary.suffix}
    before, after = _messages(canary, like[prompt])
    return {prompt: [before], completion: [after]}


def _texts(canary: Canary, columns: Mapping[str, tuple[str, ...]]) -> Row:
    """A text for each role; of several columns of one role the first has it."""
    texts = {"user": canary.prefix, ASSISTANT: canary.suffix}
    return {
        name: texts.get(role, "") if place == 0 else ""
        for role, names in columns.items()
        for place, name in enumerate(names)
    }
