"""Writes canaries and twins alone, each as the row that it is, or would be, in a training set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.canaries.files import first_rows
from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.rows import row_writer
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet


def strings_alone(
    canaries: Sequence[Canary], training_set: TrainingSet, folder: Path, *, offline: bool = False
) -> TrainingSet:
    """Write some strings into a file of a folder, one a row as in a training set, and return them as a training set.

    Raises:
        SpecError: The training set is conversations that do not lie on this machine.
        DataError: The training set cannot be read, or is empty.
    """
    first = next(iter(read_documents(training_set, offline=offline)), None)
    if first is None:
        raise DataError(
            f"Rows were expected in {training_set.source} to write canaries in the same form; there are none."
        )
    undrawn = replace(training_set, sample=None, group_column=None, stratify=None, stratum_sample=None)
    alone = replace(undrawn, form="documents", eos=None, minimum_tokens=0, documents="lines")
    if isinstance(first, str | ChatRow):
        path = folder / "canaries.jsonl"
        rows = (
            [{training_set.text_column: canary.text} for canary in canaries]
            if isinstance(first, str)
            else _conversations(canaries, training_set)
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return replace(alone, source=str(path))
    path = folder / "canaries.npy"
    np.save(path, np.array([canary.ids for canary in canaries], np.int32))
    return replace(alone, source=str(path), dtype=None, eos_id=None, order=None)


def _conversations(canaries: Sequence[Canary], training_set: TrainingSet) -> list[dict[str, object]]:
    source = local_path(training_set.source)
    if not exists(source):
        raise SpecError(
            f"Conversations on this machine were expected to measure canaries in; found {training_set.source}: copy"
            " them here."
        )
    rows = first_rows(source, training_set.split)
    write = row_writer(training_set, rows, str(source)).write
    return [write(canary, rows[0]) for canary in canaries]
