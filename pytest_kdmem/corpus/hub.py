"""Hub data sets, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pytest_kdmem.corpus.columns import Document, column_of, document_of
from pytest_kdmem.corpus.formats import Part
from pytest_kdmem.corpus.presets import PRESETS
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet


def parts_of_hub(training_set: TrainingSet, *, offline: bool) -> list[Part]:
    """Rows of a hub data set or of a preset as `resolve` gives it, a part for each of its files, in order.

    A part sent to another machine is fetched there, with that machine's access to the hub.

    Raises:
        DataError: it may not or cannot be read, and for a gated one, how to get it.
    """
    preset = PRESETS.get(training_set.source)
    repository = preset.repository if preset else training_set.source
    if offline and not Path(repository).is_dir():
        raise DataError(f"Training set {training_set.source} lies on the hub, and --kdmem-offline forbids to fetch it.")
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
    except Exception as error:  # the hub client raises many kinds; the user needs one sentence
        raise refused(error) from error
    names = [f"file {number} of {repository}" for number in range(1, count + 1)] if count > 1 else [repository]
    return [
        partial(_documents, file, training_set.text_column, name, refused)
        for file, name in zip(files, names, strict=True)
    ]


def _documents(file: Any, text_column: str, name: str, refused: Callable[[Exception], DataError]) -> Iterator[Document]:
    for index, row in enumerate(_rows(file, refused)):
        where = f"row {index} of {name}"
        column = column_of(list(row), text_column, where)
        yield document_of(row[column], column, where)


def _rows(file: Any, refused: Callable[[Exception], DataError]) -> Iterator[dict[str, object]]:
    try:
        yield from file
    except Exception as error:  # as above
        raise refused(error) from error


def _refusal(expected: str, advice: str, error: Exception) -> DataError:
    return DataError(f"{expected} and could not be read ({type(error).__name__}); {advice}.")
