"""Which column of a source holds the documents, and what may stand in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import DataError

Document = str | TokenIds

IDS_COLUMN = "input_ids"


def column_of(names: list[str], text_column: str, where: str) -> str:
    """The text column, or token ids where they stand: ids are exact, so they win over the default name."""
    if IDS_COLUMN in names and text_column in ("text", IDS_COLUMN):
        return IDS_COLUMN
    if text_column in names:
        return text_column
    raise DataError(
        f"Column {text_column!r} was expected in {where}; found {', '.join(map(str, names)) or 'none'}:"
        " name the right one with --kdmem-text-column."
    )


def document_of(value: Any, column: str, where: str) -> Document:
    if column == IDS_COLUMN:
        return ids_of(value, where)
    if not isinstance(value, str):
        raise DataError(f"Text was expected in column {column!r}, {where}; found {type(value).__name__}.")
    # A lone surrogate, which JSON can spell and UTF-8 cannot, becomes "?", as no tokenizer takes it.
    return value.encode("utf-8", "replace").decode("utf-8")


def ids_of(value: Any, where: str) -> TokenIds:
    try:
        ids = np.asarray(value)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise ValueError
    except ValueError:
        raise DataError(f"A list of token ids was expected in {where}; found {type(value).__name__}.") from None
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.int32).max):
        raise DataError(f"Token ids from 0 up were expected in {where}; found {ids.min()} to {ids.max()}.")
    return ids.astype(np.int32)
