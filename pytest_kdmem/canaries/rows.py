"""Writes canaries as rows of a training set, texts or conversations; the secret is never on the prompt's side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.corpus.conversations import ASSISTANT, SHAREGPT_ROLES
from pytest_kdmem.corpus.row_reader import columns_of, row_reader
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.chat_columns import COMPLETION, MESSAGES
from pytest_kdmem.specs.declared import TrainingSet

Row = dict[str, Any]


@dataclass(frozen=True)
class RowWriter:
    """How a canary becomes a row.

    Attributes:
        write: Makes the values of a row's columns.
        is_chat: Whether the suffix is an answer, and the prefix stands in the prompt.
    """

    write: Callable[[Canary], Row]
    is_chat: bool = False


def row_writer(training_set: TrainingSet, first: Mapping[str, Any], where: str) -> RowWriter:
    """Return how canaries become rows like the first one of a training set.

    Raises:
        DataError: The rows hold token ids, or what they hold cannot be told.
    """
    reader = row_reader(tuple(first), columns_of(training_set), where)
    if reader.chat is None:
        if reader.columns != (training_set.text_column,):
            raise DataError(
                f"A column of text, or conversations, was expected in {where} to put canaries in; found token ids: save"
                " the ids as .npy, or put the canaries in before they are made."
            )
        return RowWriter(lambda canary: {training_set.text_column: canary.text})
    columns = dict(reader.chat.columns)
    if reader.chat.parts == MESSAGES:
        [name] = columns["messages"]
        return RowWriter(lambda canary: {name: _messages(canary, first[name])}, is_chat=True)
    if set(reader.chat.parts) == set(COMPLETION):
        [prompt], [completion] = columns["prompt"], columns["completion"]
        return RowWriter(lambda canary: _completion(canary, first, prompt, completion), is_chat=True)
    return RowWriter(lambda canary: _texts(canary, columns), is_chat=True)


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
