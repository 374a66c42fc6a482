"""Hub data sets, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_kdmem.corpus.columns import Document, column_of, document_of
from pytest_kdmem.corpus.presets import PRESETS
from pytest_kdmem.errors import DataError
from pytest_kdmem.spec import TrainingSet


def stream_hub(training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
    """Rows of a hub data set or of a preset as `resolve` gives it: documents, or the lines of them.

    Raises:
        DataError: it may not or cannot be read, and for a gated one, how to get it.
    """
    preset = PRESETS.get(training_set.source)
    repository = preset.repository if preset else training_set.source
    if offline and not Path(repository).is_dir():
        raise DataError(f"Training set {training_set.source} lies on the hub, and --kdmem-offline forbids to fetch it.")
    advice = (preset.access if preset else "") or "check name, config, split, network and your access"
    for index, row in enumerate(_rows(training_set, repository, advice)):
        where = f"row {index} of {repository}"
        column = column_of(list(row), training_set.text_column, where)
        yield document_of(row[column], column, where)


def _rows(training_set: TrainingSet, repository: str, advice: str) -> Iterator[dict[str, object]]:
    from datasets import load_dataset

    config, split, revision = training_set.config, training_set.split, training_set.revision
    try:
        yield from load_dataset(repository, config, split=split, revision=revision, streaming=True)
    except Exception as error:  # the hub client raises many kinds; the user needs one sentence
        raise DataError(
            f"Training set {training_set.source} (config {config}, split {split}) was expected on the hub as"
            f" {repository} and could not be read ({type(error).__name__}); {advice}."
        ) from error
