"""The group of each row of a training set, such as its licence or the customer whose text it is, from a column of it.

Groups are read apart from the text, so that scores do not depend on them and an audit of stored scores loads no model.
A row without a group is of a group of its own, and none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.group_names import WITHOUT_GROUP
from pytest_kdmem.corpus.row_reader import GroupsOf
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.corpus.token_files import is_token_file
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import named, quoted
from pytest_kdmem.specs.chat_columns import NONE, parse_chat_columns
from pytest_kdmem.specs.declared import TrainingSet

MOST_GROUPS = 10_000

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of the r rows of a training set.

    Attributes:
        column: Name of the column.
        names: Names of the groups.
        codes: Index among the names of the group of each row, int32 ``[r]``.
    """

    column: str
    names: tuple[str, ...]
    codes: Codes


def read_groups(training_set: TrainingSet, *, offline: bool = False) -> Groups:
    """Read the groups of all rows of a training set that declares their column.

    Raises:
        DataError: The source cannot be read, has no such column, or holds what is no name in it.
        SpecError: Examples of the source are no rows of it, or there are too many groups.
    """
    column = training_set.group_column
    assert column is not None
    _check_has_rows(training_set)
    _check_is_no_text(training_set, column)
    codes: dict[str, int] = {}
    row_codes = [codes.setdefault(name, len(codes)) for name in _names(training_set, column, offline=offline)]
    if set(codes) <= {WITHOUT_GROUP}:
        raise DataError(
            f"A column {quoted(column)} with groups was expected in {training_set.source}, and no row has a value"
            " there; name the right one with --kdmem-group-column."
        )
    return Groups(column, tuple(codes), np.array(row_codes, dtype=np.int32))


def check_one_example_a_row(groups: Groups, training_set: TrainingSet, examples: int) -> None:
    """Raise SpecError unless the examples of a training set are its rows, in their order."""
    if len(groups.codes) != examples:
        raise SpecError(
            f"One example of each row was expected in {training_set.source}, as {quoted(groups.column)} groups rows;"
            f" found {count(len(groups.codes))} rows and {count(examples)} examples: audit groups without"
            " minimum_tokens, and conversations with chat_turns=1."
        )


def _check_has_rows(training_set: TrainingSet) -> None:
    is_cut = training_set.form == "blocks" or training_set.documents == "articles"
    if is_cut or is_token_file(training_set) or training_set.source.endswith((".npy", ".txt")):
        raise SpecError(
            f"Rows with columns, each of which is an example, were expected with group_column (--kdmem-group-column);"
            f" {named(training_set.source)} is read as token ids, lines, blocks or articles: drop it, or give the rows"
            " with their groups."
        )


def _check_is_no_text(training_set: TrainingSet, column: str) -> None:
    declared = training_set.chat_columns
    chat = parse_chat_columns(declared).names if declared not in (None, NONE) else ()
    if column in (training_set.text_column, *chat):
        raise SpecError(
            f"A column that names groups was expected with group_column (--kdmem-group-column); found {quoted(column)},"
            " which holds the text of the examples, and reports show names of groups: name another column."
        )


def _names(training_set: TrainingSet, column: str, *, offline: bool) -> Iterator[str]:
    declared = {field.name: getattr(training_set, field.name) for field in fields(TrainingSet)}
    seen: set[str] = set()
    for name in read_documents(GroupsOf(**declared), offline=offline):
        assert isinstance(name, str)
        seen.add(name)
        if len(seen) > MOST_GROUPS:
            raise SpecError(
                f"At most {count(MOST_GROUPS)} groups were expected in column {quoted(column)} of"
                f" {training_set.source}; found more: name a coarser column with --kdmem-group-column."
            )
        yield name
