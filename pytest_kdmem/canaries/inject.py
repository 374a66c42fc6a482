"""Puts canaries into a copy of a training set, and reads that as training will, before it gets its name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_kdmem.base.paths import is_file, local_path
from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.copiers import ENDINGS, FOLDER, copier_of, ending_of
from pytest_kdmem.canaries.manifest import Canary, Manifest
from pytest_kdmem.corpus.file_lines import UNREADABLE
from pytest_kdmem.corpus.megatron import index_path
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError, SpecError
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
    put in again at the end, until each canary stands whole in as many blocks as it was registered with. The copy gets
    its name once it was read so; if that fails, what was there before stays.

    Args:
        manifest: The canaries.
        training_set: The training set as training will read it; its source is a file of this machine, or a folder that
            `datasets` saved.
        target: File or folder to write, of the same format.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths; the window is that of training.

    Returns:
        The number of rows that were put in.

    Raises:
        SpecError: Canaries cannot be put into this source.
        DataError: The source cannot be read, the copy cannot be written, or it does not hold all canaries whole.
    """
    source = _checked_source(training_set, target)
    eos_id = tokenizer.eos_id if tokenizer is not None else None
    with _reading(source):
        copier = copier_of(training_set, source, eos_id, extraction.window_tokens)
    draw = np.random.default_rng(manifest.seed)
    added = [canary for canary in manifest.planted for _ in range(canary.copies)]
    places = draw.integers(0, copier.places + 1, len(added)).tolist()
    longest = max(len(canary.ids) for canary in manifest.planted)
    with _published(target) as copy:
        for _ in range(MOST_ROUNDS):
            _remove(copy)
            with _reading(source):
                copier.write(copy, _by_place(zip(places, added, strict=True)))
            injected = replace(training_set, source=str(copy), sample=None)
            copies = count_copies(manifest, injected, tokenizer, extraction, offline=True)
            short = [
                canary
                for canary, whole in zip(manifest.canaries, copies.tolist(), strict=True)
                for _ in range(canary.copies - whole)
            ]
            if not short or training_set.form != "blocks" or longest > extraction.window_tokens:
                break
            added, places = added + short, [*places, *[copier.places] * len(short)]
        check_copies(manifest, copies, str(target))
    return len(added)


def _checked_source(training_set: TrainingSet, target: Path) -> Path:
    """The file or folder that canaries are put in.

    Raises:
        SpecError: They cannot be put into this source, or the copy would be of another format.
    """
    source = local_path(training_set.source)
    ending = ending_of(source)
    if ending is None:
        raise SpecError(
            f"A file of this machine ({', '.join(ENDINGS)}), or a folder that `datasets` saved, was expected to put"
            f" canaries in; found {training_set.source}."
        )
    if not target.name.endswith(ending):
        raise SpecError(f"The copy must be of the format of {source.name}, {ending}; found {target.name}.")
    if ending == FOLDER and (is_file(target) or (target.is_dir() and any(target.iterdir()))):
        raise SpecError(f"A new folder was expected for the copy of {source.name}; {target} is there already.")
    if ending == ".bin" and not is_file(index_path(source)) and os.path.lexists(index_path(target)):
        raise SpecError(
            f"A place without an index was expected for the copy of {source.name}, a flat file of token ids; found"
            f" {index_path(target)}, with which it would be read as a file of Megatron: remove it, or name another"
            " --out."
        )
    if training_set.order is not None:
        raise SpecError(
            "Documents whose order training draws itself were expected to put canaries in; found the order"
            f" {training_set.order}, which lacks the canaries: drop it (--kdmem-order)."
        )
    if training_set.documents == "articles":
        raise SpecError(
            f"Documents with rows of their own were expected to put canaries in; {training_set.source} is read as lines"
            " of articles: put them into the articles, one a row, and train on these."
        )
    return source


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Raise DataError where a source cannot be read as what its ending says, or not be copied."""
    try:
        yield
    except UNREADABLE as error:
        raise DataError(
            f"Rows as its ending says were expected in {source} to put canaries in, and it cannot be read or copied"
            f" ({getattr(error, 'strerror', None) or type(error).__name__}); check the file."
        ) from None


@contextmanager
def _published(target: Path) -> Iterator[Path]:
    """Yield a hidden path of the same name beside a target; what the block writes there gets the target's place.

    Of a pair the index is named first: without its .bin file it is refused, and with another one, too.

    Raises:
        DataError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            copy = Path(folder) / target.name
            yield copy
            for path in [path for path in (copy, *copy.rglob("*"), index_path(copy)) if path.is_file()]:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            if copy.suffix == ".bin" and index_path(copy).is_file():
                index_path(copy).replace(index_path(target))
            if copy.is_dir() and target.is_dir():
                target.rmdir()
            copy.replace(target)
    except OSError as error:
        raise DataError(
            f"A copy with canaries was to be written at {target}, which is not possible ({error.strerror})."
        ) from None


def _remove(copy: Path) -> None:
    """Remove the copy of an earlier round."""
    if copy.is_dir():
        shutil.rmtree(copy)
    for path in (copy, index_path(copy)):
        path.unlink(missing_ok=True)


def _by_place(placed: Iterable[tuple[int, Canary]]) -> dict[int, list[Canary]]:
    by_place: dict[int, list[Canary]] = {}
    for place, canary in placed:
        by_place.setdefault(place, []).append(canary)
    return by_place
