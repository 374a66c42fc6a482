"""Writes canaries as rows of token ids, with the masks and labels that other rows have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.corpus.columns import DEFAULT_TEXT_COLUMN, IDS_COLUMN, LABELS_COLUMN
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

Row = dict[str, Any]


def token_row_writer(
    training_set: TrainingSet, rows: Sequence[Row], columns: Sequence[str], where: str
) -> Callable[[Canary, Row], Row]:
    """Return how canaries become rows of token ids, all of which training learns.

    Where all rows are as long as each other, as windows are that were packed, a canary stands at the start of its row
    and the end of the row beside it behind.

    Args:
        training_set: The training set.
        rows: Its first rows, at least one.
        columns: The column of token ids, and those that belong to it.
        where: The source, in messages.

    Raises:
        DataError: Rows hold no lists of token ids, or a text beside them that would be that of the whole row.
    """
    lengths = {len(row[IDS_COLUMN]) for row in rows if isinstance(row[IDS_COLUMN], Sequence | np.ndarray)}
    is_filled = len(rows) > 1 and len(lengths) == 1 and training_set.form == "documents"
    beside_ids = [name for name in columns[1:] if name != DEFAULT_TEXT_COLUMN and _is_list(rows[0][name])]
    has_text = DEFAULT_TEXT_COLUMN in columns and isinstance(rows[0][DEFAULT_TEXT_COLUMN], str)
    if not lengths or (is_filled and has_text):
        raise DataError(
            f"Lists of token ids, of different lengths if their text stands beside them, were expected in {where} to"
            " put canaries in; found others: put the canaries in before the ids are made."
        )

    def write(canary: Canary, beside: Row) -> Row:
        length = len(canary.ids)
        if is_filled and len(beside[IDS_COLUMN]) < length:
            raise DataError(
                f"Rows that hold a canary of {length} tokens were expected in {where}; found one of"
                f" {len(beside[IDS_COLUMN])}: make shorter canaries."
            )
        values: Row = {IDS_COLUMN: list(canary.ids)}
        values |= {name: list(canary.ids) if name == LABELS_COLUMN else [1] * length for name in beside_ids}
        if is_filled:
            values = {name: [*own, *list(beside[name])[length:]] for name, own in values.items()}
        return values | ({DEFAULT_TEXT_COLUMN: canary.text} if has_text else {})

    return write


def _is_list(value: Any) -> bool:
    return isinstance(value, list | np.ndarray)
