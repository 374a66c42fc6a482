"""Finds the columns that hold the documents, and checks the values in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed, quoted

IDS_COLUMN = "input_ids"
MASK_COLUMN = "attention_mask"
LABELS_COLUMN = "labels"
# Masks of the tokens whose loss training took, by the names that TRL gives them.
LEARNED_COLUMNS = ("completion_mask", "assistant_masks")
DEFAULT_TEXT_COLUMN = "text"
# Label of a token whose loss training does not take.
IGNORED_LABEL = -100


class TokenRow(NamedTuple):
    """Token ids without padding, with what stands beside them in their row.

    Attributes:
        ids: Token ids ``[n]``.
        where: The row, in messages.
        learned: Bool ``[n]``: the tokens whose loss training took; None if it is not given.
        text: The text that they are said to be; None if there is none.
    """

    ids: TokenIds
    where: str
    learned: Flags | None = None
    text: str | None = None


Document = str | TokenIds | TokenRow | ChatRow


def find_columns(names: Sequence[str], text_column: str, where: str) -> tuple[str, ...]:
    """The names of the columns to read: that of the documents, and after it those that belong to it.

    A column of token ids is taken before a text column of the default name, because token ids are exact.

    Args:
        names: Names of all columns.
        text_column: Name of the text column, as declared.
        where: The file or row that messages name.

    Raises:
        DataError: There is no such column, or there are several.
    """
    if IDS_COLUMN in names and text_column in (DEFAULT_TEXT_COLUMN, IDS_COLUMN):
        beside = [MASK_COLUMN, LABELS_COLUMN, *LEARNED_COLUMNS]
        # Whoever names the token ids as the text column wants them alone.
        beside += [DEFAULT_TEXT_COLUMN] * (text_column == DEFAULT_TEXT_COLUMN)
        columns = (IDS_COLUMN, *(name for name in beside if name in names))
        check_is_there_once(columns, names, where)
        return columns
    if text_column in names:
        check_is_there_once((text_column,), names, where)
        return (text_column,)
    raise DataError(
        f"Column {quoted(text_column)} was expected in {where}; found {listed(names)}:"
        " name the right one with --kdmem-text-column, or those of conversations with --kdmem-chat-columns."
    )


def check_is_there_once(columns: Sequence[str], names: Sequence[str], where: str) -> None:
    """Raise DataError if one of these columns is there several times: which of them training read is unknown."""
    for column in columns:
        if names.count(column) > 1:
            raise DataError(
                f"One column {column!r} was expected in {where}, and there are {names.count(column)}; keep the one that"
                " was trained on, or give them different names."
            )


def to_document(row: Mapping[str, Any], columns: Sequence[str], where: str) -> Document:
    """The document that a row stands for.

    Args:
        row: Values by column.
        columns: The columns to read, as `find_columns` gives them.
        where: The row, in messages.

    Raises:
        DataError: A value is neither text nor, in the column of token ids, a list of token ids; or what stands beside
            token ids contradicts them.
    """
    column, *beside = columns
    if column == IDS_COLUMN:
        ids = to_token_ids(row[column], where)
        values = {name: row[name] for name in beside if _tells_of_tokens(name, row[name])}
        return _token_row(ids, values, where) if values else ids
    return _to_text(row[column], column, where)


def to_token_ids(value: Any, where: str) -> TokenIds:
    """Token ids ``[n]`` as int32.

    Raises:
        DataError: The value is no flat list of whole numbers from 0 to 2**31 - 1.
    """
    ids = _whole_numbers(value, "token ids", where, kinds="iu")
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.int32).max):
        raise DataError(f"Token ids from 0 up were expected in {where}; found {ids.min()} to {ids.max()}.")
    whole: TokenIds = ids.astype(np.int32)
    return whole


def _tells_of_tokens(column: str, value: Any) -> bool:
    """Whether a value beside token ids belongs to them: labels can be classes, and a text a list of turns."""
    if column == DEFAULT_TEXT_COLUMN:
        return isinstance(value, str)
    return isinstance(value, list | np.ndarray) if column == LABELS_COLUMN else value is not None


def _to_text(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"Text was expected in column {quoted(column)}, {where}; found {type(value).__name__}.")
    # JSON can hold a lone surrogate, which no tokenizer accepts: it becomes "?".
    return value.encode("utf-8", "replace").decode("utf-8")


def _token_row(ids: TokenIds, values: Mapping[str, Any], where: str) -> TokenRow:
    """Token ids without the padding that a mask, or labels without a mask, tell apart from them."""
    numbers = {
        name: _of_length(_whole_numbers(value, f"{name} of whole numbers", where), len(ids), name, where)
        for name, value in values.items()
        if name != DEFAULT_TEXT_COLUMN
    }
    labels = numbers.get(LABELS_COLUMN)
    learned = [numbers[name] != 0 for name in LEARNED_COLUMNS if name in numbers]
    if labels is not None:
        learned.append(labels != IGNORED_LABEL)
        if (labels[learned[-1]] != ids[learned[-1]]).any():
            raise DataError(
                f"Labels that are the token ids, or {IGNORED_LABEL}, were expected in {where}, as a causal language"
                " model is trained with; found others: drop the column, or give what training had."
            )
    mask = numbers.get(MASK_COLUMN)
    kept = _without_ignored_beginning(ids, labels) if mask is None else _inside(mask != 0, where)
    if labels is not None:
        kept = slice(kept.start, max(kept.start, min(kept.stop, _end_of_loss(labels))))
    text = values.get(DEFAULT_TEXT_COLUMN)
    return TokenRow(
        ids[kept],
        where,
        np.logical_and.reduce(learned)[kept] if learned else None,
        None if text is None else _to_text(text, DEFAULT_TEXT_COLUMN, where),
    )


def _inside(is_token: Flags, where: str) -> slice:
    """The part of a row that its mask keeps, which must be without gaps."""
    kept = np.flatnonzero(is_token)
    if not len(kept):
        return slice(0, 0)
    if len(kept) != kept[-1] - kept[0] + 1:
        raise DataError(
            f"Padding only at the ends was expected in {where}; found an {MASK_COLUMN} that leaves out tokens between"
            " others: give each sequence in a row of its own."
        )
    return slice(int(kept[0]), int(kept[-1]) + 1)


def _end_of_loss(labels: TokenIds) -> int:
    """The place behind the last token whose loss was taken: what comes after it is padding, or was never learned."""
    taken = np.flatnonzero(labels != IGNORED_LABEL)
    return int(taken[-1]) + 1 if len(taken) else 0


def _without_ignored_beginning(ids: TokenIds, labels: TokenIds | None) -> slice:
    """All of a row but a beginning of one repeated token whose loss was not taken, which is padding."""
    if labels is None or not len(ids):
        return slice(0, len(ids))
    others = np.flatnonzero((labels != IGNORED_LABEL) | (ids != ids[0]))
    left = int(others[0]) if len(others) else len(ids)
    return slice(left if left > 1 else 0, len(ids))  # one such token can be the BOS of a prompt


def _of_length(numbers: Any, length: int, name: str, where: str) -> Any:
    if len(numbers) != length:
        raise DataError(
            f"As many values of {name} as token ids were expected in {where}; found {len(numbers)} and {length}."
        )
    return numbers


def _whole_numbers(value: Any, what: str, where: str, *, kinds: str = "iub") -> Any:
    try:
        numbers = np.asarray(value)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in kinds):
            raise ValueError
    except ValueError:
        raise DataError(f"A list of {what} was expected in {where}; found {type(value).__name__}.") from None
    return numbers
