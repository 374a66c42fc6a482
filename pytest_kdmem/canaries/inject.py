"""Puts canaries into a copy of a training set, and reads that as training will, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pytest_kdmem.base.files import atomic_file
from pytest_kdmem.base.paths import is_file, local_path
from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.files import (
    ENDINGS,
    copy_with_lines,
    copy_with_parquet_rows,
    copy_with_token_rows,
    first_row,
    number_of_rows,
)
from pytest_kdmem.canaries.manifest import Canary, Manifest
from pytest_kdmem.canaries.rows import row_writer
from pytest_kdmem.corpus.formats import UNREADABLE
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

# Times that copies which packing cut are put in again at the end.
MOST_ROUNDS = 20


def inject(
    manifest: Manifest,
    training_set: TrainingSet,
    target: Path,
    tokenizer: Tokenizer | None,
    extraction: Extraction,
) -> int:
    """Write a copy of a training set with its canaries, which the audit's reading of it finds whole.

    Copies stand at random places. Where rows are packed into blocks, a copy may be cut by the end of one; as many are
    put in again at the end, until each canary stands whole in as many blocks as it was registered with.

    Args:
        manifest: The canaries.
        training_set: The training set as training will read it; its source is a file of this machine.
        target: File to write, of the same format.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths; the window is that of training.

    Returns:
        The number of rows that were put in.

    Raises:
        SpecError: Canaries cannot be put into this source.
        DataError: The source cannot be read, the copy cannot be written, or it does not hold all canaries whole.
    """
    source = _checked_source(training_set, target)
    with _reading(source):
        write, rows = _writer(training_set, source), number_of_rows(source)
    draw = np.random.default_rng(manifest.seed)
    added = [canary for canary in manifest.planted for _ in range(canary.copies)]
    places = draw.integers(0, rows + 1, len(added)).tolist()
    injected = replace(training_set, source=str(target))
    for _ in range(MOST_ROUNDS):
        with _reading(source), atomic_file(target) as temporary:
            write(temporary, _by_place(zip(places, added, strict=True)))
        with _kept_if_checked(target):
            copies = count_copies(manifest, injected, tokenizer, extraction, offline=True)
        short = [
            canary
            for canary, whole in zip(manifest.canaries, copies.tolist(), strict=True)
            for _ in range(canary.copies - whole)
        ]
        if not short or training_set.form != "blocks":
            break
        added, places = added + short, [*places, *[rows] * len(short)]
    with _kept_if_checked(target):
        check_copies(manifest, copies, str(target))
    return len(added)


def _checked_source(training_set: TrainingSet, target: Path) -> Path:
    """The file that canaries are put in.

    Raises:
        SpecError: They cannot be put into this source, or the copy would be of another format.
    """
    source = local_path(training_set.source)
    ending = next((ending for ending in ENDINGS if source.name.endswith(ending)), None)
    if ending is None or not is_file(source):
        raise SpecError(
            f"A file of this machine ({', '.join(ENDINGS)}) was expected to put canaries in; found"
            f" {training_set.source}."
        )
    if not target.name.endswith(ending):
        raise SpecError(f"The copy must be of the format of {source.name}, {ending}; found {target.name}.")
    if training_set.documents == "articles":
        raise SpecError(
            f"Documents with rows of their own were expected to put canaries in; {training_set.source} is read as lines"
            " of articles: put them into the articles, one a row, and train on these."
        )
    return source


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Raise DataError where a source cannot be read as what its ending says."""
    try:
        yield
    except UNREADABLE as error:
        raise DataError(
            f"Rows as its ending says were expected in {source} to put canaries in, and it cannot be read"
            f" ({type(error).__name__}); check the file."
        ) from None


@contextmanager
def _kept_if_checked(target: Path) -> Iterator[None]:
    """Remove a file that was written if its check breaks, as nobody may train on it."""
    try:
        yield
    except KdmemError:
        target.unlink(missing_ok=True)
        raise


def _writer(training_set: TrainingSet, source: Path) -> Callable[[Path, dict[int, list[Canary]]], None]:
    """What copies the source with canaries at their places."""
    if source.suffix == ".npy":
        return lambda target, canaries: copy_with_token_rows(
            source, target, {place: [canary.ids for canary in some] for place, some in canaries.items()}
        )
    if source.suffix == ".txt":
        return lambda target, canaries: copy_with_lines(source, target, canaries, lambda canary: canary.text.encode())
    write = row_writer(training_set, first_row(source), str(source)).write
    if source.suffix == ".parquet":
        return lambda target, canaries: copy_with_parquet_rows(
            source, target, {place: [write(canary) for canary in some] for place, some in canaries.items()}
        )
    return lambda target, canaries: copy_with_lines(
        source, target, canaries, lambda canary: json.dumps(write(canary), ensure_ascii=False).encode()
    )


def _by_place(placed: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    by_place: dict[int, list[Any]] = {}
    for place, canary in placed:
        by_place.setdefault(place, []).append(canary)
    return by_place
