"""The columns of a set beside the training set, which is another source and may have other ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import Setting

OF_COLUMNS = ("text_column", "chat_columns")


class OwnColumns(NamedTuple):
    """How a set's columns are declared.

    Attributes:
        settings: Settings that name columns, by the argument of a training set.
        columns: The columns that there are, in words, if none of them is known to be the right one; else empty.
    """

    settings: Mapping[str, Setting]
    columns: str = ""


def own_columns(source: str, reading: Mapping[str, Setting]) -> OwnColumns:
    """The columns of a set: those of the training set if they are there, else the default ones, else the only text.

    Args:
        source: The set, on this machine or elsewhere; of what cannot be looked at, those of the training set are taken.
        reading: Settings by which the training set is read.
    """
    from pytest_kdmem.corpus.column_names import column_names
    from pytest_kdmem.corpus.row_reader import columns_of, row_reader

    of_training = {name: reading[name] for name in OF_COLUMNS if name in reading}
    names = column_names(source)
    if names is None:
        return OwnColumns(of_training)
    for settings in _candidates(of_training, names):
        try:
            row_reader(list(names), columns_of(TrainingSet(source, **settings)), source)  # type: ignore[arg-type]
        except DataError:
            continue
        return OwnColumns(settings)
    return OwnColumns(of_training, listed(list(names)))


def _candidates(of_training: dict[str, Setting], names: Mapping[str, bool]) -> Iterator[dict[str, Setting]]:
    texts = [name for name, is_text in names.items() if is_text]
    yield of_training
    yield {}
    if len(texts) == 1:
        yield {"text_column": texts[0]}
