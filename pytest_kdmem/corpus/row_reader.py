"""Decides by the names of columns what a row is: a text, token ids, or a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_kdmem.corpus.columns import (
    DEFAULT_TEXT_COLUMN,
    IDS_COLUMN,
    Document,
    check_is_there_once,
    find_columns,
    to_document,
)
from pytest_kdmem.corpus.conversations import BESIDE, MEDIA, ChatRow, from_completion, from_messages, from_texts
from pytest_kdmem.corpus.group_names import group_name
from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.chat_columns import COMPLETION, MESSAGES, NONE, ChatColumns, parse_chat_columns
from pytest_kdmem.specs.declared import TrainingSet

# Columns that are conversations wherever nothing else is declared.
FOUND_BY_THEMSELVES = ("messages", "messages=conversations", "prompt,completion")


@dataclass(frozen=True)
class DeclaredColumns:
    """The columns that a training set declares.

    Attributes:
        text: Name of the column that holds the text.
        chat: Columns of conversations, or ``none``; None finds them.
        group: Name of the column of groups, if the groups are read in place of the text.
    """

    text: str = DEFAULT_TEXT_COLUMN
    chat: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class GroupsOf(TrainingSet):
    """A training set of which the group of each row is read in place of its text."""


def columns_of(training_set: TrainingSet) -> DeclaredColumns:
    """The columns that a training set declares."""
    if isinstance(training_set, GroupsOf):
        return DeclaredColumns(training_set.text_column, training_set.chat_columns, training_set.group_column)
    return DeclaredColumns(training_set.text_column, training_set.chat_columns)


@dataclass(frozen=True)
class RowReader:
    """Reads rows that have certain columns.

    Attributes:
        columns: The names of all columns to read.
        chat: The columns of conversations; None if the rows are texts or token ids.
        is_group: Whether the one column holds the groups of the rows.
    """

    columns: tuple[str, ...]
    chat: ChatColumns | None = None
    is_group: bool = False

    def document(self, row: Mapping[str, Any], where: str) -> Document:
        """The document that a row stands for.

        Args:
            row: Values by column.
            where: The row, in messages.

        Raises:
            DataError: A value is of another kind than its column is read as.
        """
        if self.is_group:
            return group_name(row[self.columns[0]], self.columns[0], where)
        if self.chat is None:
            return to_document(row, self.columns, where)
        return _chat_row(self.chat, row, where)


def row_reader(names: Sequence[str], declared: DeclaredColumns, where: str) -> RowReader:
    """How rows with these columns are read.

    Args:
        names: Names of all columns.
        declared: What the training set declares of them.
        where: The file or row that messages name.

    Raises:
        DataError: There is no such column, or several that training may have read.
    """
    if declared.group is not None:
        return _group_reader(names, declared, declared.group, where)
    chat = _chat_columns(names, declared, where)
    if chat is None:
        return RowReader(find_columns(names, declared.text, where))
    columns = (*chat.names, *(name for name in (*BESIDE, *MEDIA) if name in names and name not in chat.names))
    check_is_there_once(columns, names, where)
    return RowReader(columns, chat)


def _group_reader(names: Sequence[str], declared: DeclaredColumns, column: str, where: str) -> RowReader:
    if column not in names:
        raise missing_group(column, names, where)
    check_is_there_once((column,), names, where)
    is_found = declared.chat is None and declared.text == DEFAULT_TEXT_COLUMN
    if is_found and any(column in chat.names for chat in _found_by_themselves(names)):
        raise DataError(
            f"A column that names groups was expected with group_column (--kdmem-group-column); found {quoted(column)},"
            f" which holds the text of the examples in {where}, and reports show names of groups: name another column."
        )
    return RowReader((column,), is_group=True)


def missing_group(column: str, names: Sequence[str], where: str) -> DataError:
    """The error about a column of groups that is not among those of a file."""
    return DataError(
        f"A column {quoted(column)} with groups was expected in {where}; found {listed(names)}: name the right one with"
        " --kdmem-group-column."
    )


def _found_by_themselves(names: Sequence[str]) -> list[ChatColumns]:
    """The columns of conversations that are among others."""
    return [chat for text in FOUND_BY_THEMSELVES if {*(chat := parse_chat_columns(text)).names} <= {*names}]


def _chat_columns(names: Sequence[str], declared: DeclaredColumns, where: str) -> ChatColumns | None:
    """The columns of conversations that are declared, or else those that are there; None if rows are none."""
    if declared.chat == NONE:
        return None
    if declared.chat is not None:
        chat = parse_chat_columns(declared.chat)
        if missing := [name for name in chat.names if name not in names]:
            raise DataError(
                f"Columns {listed(chat.names)} were expected in {where}, and {listed(missing)} are missing; found"
                f" {listed(names)}: name the right ones with --kdmem-chat-columns."
            )
        return chat
    if declared.text != DEFAULT_TEXT_COLUMN:
        return None
    candidates = _found_by_themselves(names)
    others = [name for name in (IDS_COLUMN, DEFAULT_TEXT_COLUMN) if name in names]
    if len(candidates) + len(others) > 1 and candidates:
        both = [*others, *(name for chat in candidates for name in chat.names)]
        raise DataError(
            f"One kind of columns that training can have read was expected in {where}; found {listed(both)}: declare"
            ' chat_columns (--kdmem-chat-columns), such as "messages", or "none" for text or token ids.'
        )
    return candidates[0] if candidates else None


def _chat_row(chat: ChatColumns, row: Mapping[str, Any], where: str) -> ChatRow:
    values = {part: [row[name] for name in names] for part, names in chat.columns}
    if chat.parts == MESSAGES:
        return from_messages(values["messages"][0], row, where)
    if chat.parts == COMPLETION:
        return from_completion(values["prompt"][0], values["completion"][0], row, where)
    return from_texts(values, row, where)
