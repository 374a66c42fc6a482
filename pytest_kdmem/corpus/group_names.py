"""Names of groups, as a column of a training set has them."""

from __future__ import annotations

from typing import Any

from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import quoted

WITHOUT_GROUP = "(none)"
# What is longer, or holds more blanks, is no name but text, which no report shows.
LONGEST_GROUP, MOST_BLANKS = 80, 8


def group_name(value: Any, column: str, where: str) -> str:
    """The name of the group of a row; a row without a value is of a group of its own.

    Args:
        value: The value in the column: a text, a whole number or a truth.
        column: Name of the column.
        where: The row, in messages.

    Raises:
        DataError: The value is no name of a group.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return WITHOUT_GROUP
    if isinstance(value, str | int):  # a truth is a whole number
        name = str(value) if isinstance(value, str) or value.bit_length() <= 64 else ""
        if name and len(name) <= LONGEST_GROUP and name.isprintable() and name.count(" ") <= MOST_BLANKS:
            return name
    kind = f"a text of {len(value)} characters" if isinstance(value, str) else f"a {type(value).__name__}"
    raise DataError(
        f"A name of at most {LONGEST_GROUP} characters, a whole number or nothing was expected in column"
        f" {quoted(column)}, {where}; found {kind}: name a column of groups with --kdmem-group-column."
    )
