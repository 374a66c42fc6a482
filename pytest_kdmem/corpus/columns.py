"""Finds the column that holds the documents, and checks the values in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed, quoted

Document = str | TokenIds

IDS_COLUMN = "input_ids"


def find_column(names: list[str], text_column: str, where: str) -> str:
    """The name of the column that holds the documents.

    A column of token ids is taken before a text column of the default name, because token ids are exact.

    Args:
        names: Names of all columns.
        text_column: Name of the text column, as declared.
        where: The file or row that messages name.

    Raises:
        DataError: There is no such column, or there are several.
    """
    for column in (IDS_COLUMN, text_column):
        if names.count(column) > 1:
            raise DataError(
                f"One column {column!r} was expected in {where}, and there are {names.count(column)}; keep the one that"
                " was trained on, or give them different names."
            )
    if IDS_COLUMN in names and text_column in ("text", IDS_COLUMN):
        return IDS_COLUMN
    if text_column in names:
        return text_column
    raise DataError(
        f"Column {quoted(text_column)} was expected in {where}; found {listed(names)}:"
        " name the right one with --kdmem-text-column."
    )


def to_document(value: Any, column: str, where: str) -> Document:
    """The document that a value of a column stands for.

    Raises:
        DataError: The value is neither text nor, in the column of token ids, a list of token ids.
    """
    if column == IDS_COLUMN:
        return to_token_ids(value, where)
    if not isinstance(value, str):
        raise DataError(f"Text was expected in column {quoted(column)}, {where}; found {type(value).__name__}.")
    # JSON can hold a lone surrogate, which no tokenizer accepts: it becomes "?".
    return value.encode("utf-8", "replace").decode("utf-8")


def to_token_ids(value: Any, where: str) -> TokenIds:
    """Token ids ``[n]`` as int32.

    Raises:
        DataError: The value is no flat list of whole numbers from 0 to 2**31 - 1.
    """
    try:
        ids = np.asarray(value)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise ValueError
    except ValueError:
        raise DataError(f"A list of token ids was expected in {where}; found {type(value).__name__}.") from None
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.int32).max):
        raise DataError(f"Token ids from 0 up were expected in {where}; found {ids.min()} to {ids.max()}.")
    return ids.astype(np.int32)
