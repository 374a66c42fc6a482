"""Streams data sets of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.formats import DocumentReader
from pytest_kdmem.corpus.presets import PRESETS
from pytest_kdmem.corpus.row_reader import DeclaredColumns, columns_of, row_reader
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet


def hub_readers(training_set: TrainingSet, *, offline: bool) -> list[DocumentReader]:
    """A reader for each file of a hub data set, or of a preset as `resolve` gives it, in order.

    A reader that is called on another machine downloads its file there, with that machine's access to the hub.

    Raises:
        DataError: The data set cannot be read, or ``offline`` forbids it; for a gated one, with the way to get access.
    """
    preset = PRESETS.get(training_set.source)
    repository = preset.repository if preset else training_set.source
    if offline and not Path(repository).is_dir():
        raise DataError(
            f"Training set {training_set.source} lies on the hub, and --kdmem-offline forbids downloading it."
        )
    config, split = training_set.config, training_set.split
    expected = (
        f"Training set {training_set.source} (config {config}, split {split}) was expected on the hub as {repository}"
    )
    advice = (preset.access if preset else "") or "check name, config, split, network and your access"
    refused = partial(_refusal, expected, advice)
    from datasets import load_dataset

    try:
        data = load_dataset(repository, config, split=split, revision=training_set.revision, streaming=True)
        count = data.num_shards
        files = [data.shard(num_shards=count, index=index) for index in range(count)]
    except Exception as error:  # the hub client raises errors of many kinds
        raise refused(error) from error
    names = [f"file {number} of {repository}" for number in range(1, count + 1)] if count > 1 else [repository]
    return [
        partial(_documents, file, columns_of(training_set), name, refused)
        for file, name in zip(files, names, strict=True)
    ]


def _documents(
    file: Any, declared: DeclaredColumns, name: str, refused: Callable[[Exception], DataError]
) -> Iterator[Document]:
    for index, row in enumerate(_rows(file, refused)):
        where = f"row {index} of {name}"
        yield row_reader(list(row), declared, where).document(row, where)


def _rows(file: Any, refused: Callable[[Exception], DataError]) -> Iterator[dict[str, object]]:
    try:
        yield from file
    except Exception as error:  # errors of many kinds, here too
        raise refused(error) from error


def _refusal(expected: str, advice: str, error: Exception) -> DataError:
    return DataError(f"{expected} and could not be read ({type(error).__name__}); {advice}.")
