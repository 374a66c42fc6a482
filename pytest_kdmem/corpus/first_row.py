"""Reads the first row of a training set as declared, so that a wrong column is told before anything else is done."""

from __future__ import annotations

from pytest_kdmem.corpus.column_names import column_names
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.specs.declared import TrainingSet


def check_first_row(training_set: TrainingSet) -> None:
    """Check that the first row of a file on this machine can be read as declared; of what else there is, reading tells.

    Raises:
        DataError: It has other columns, or holds something else in them.
    """
    if column_names(training_set.source) is not None:
        next(read_documents(training_set), None)
