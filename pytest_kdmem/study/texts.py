"""Texts of a study: documents → pre-training text, D with planted repeats, and held-out text, none sharing a document.

Examples are pieces of documents, cut by characters, so every family's tokenizer makes its examples of the same text.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.corpus.presets import PRESETS
from pytest_kdmem.corpus.sources import fingerprint, read_documents
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.study.config import Dataset, StudyConfig

# English has some 4 characters per token, and fewer with a small vocabulary, so most pieces fill their window.
CHARACTERS_PER_TOKEN = 5
# Raised when the same settings give other texts than before.
VERSION = 1


@dataclass(frozen=True)
class DatasetTexts:
    """Files of a data set, and which distinct example each row of D is, by number."""

    training: Path
    held_out: Path
    documents: tuple[int, ...]


@dataclass(frozen=True)
class Texts:
    """Files of a study: one pre-training text, and each data set's own."""

    pretraining: Path
    datasets: dict[str, DatasetTexts]


@dataclass(frozen=True)
class Division:
    """A data set in memory.

    Args:
        pretraining: whole documents to pre-train on.
        training: the distinct pieces of D.
        held_out: distinct held-out pieces.
        controls: pieces that no model is trained on and that are drawn as those of D are, in random order: those of D's
            documents that were not drawn, and what a held-out share of the same text has.
    """

    pretraining: tuple[str, ...]
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    controls: tuple[str, ...]


def write_texts(config: StudyConfig, data: Path, out: Path) -> Texts:
    """Write a study's texts below ``out``, unless those of the same settings and sources are there already.

    Raises:
        DataError: a source is missing or holds too little text.
    """
    folder = out / _digest(config, data)
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            pretraining: list[str] = []
            for name, dataset in config.datasets.items():
                division = divide(dataset, config, data, name)
                pretraining += division.pretraining
                rows = repeated(len(division.training), config.repetition, _random(config, name, "repetition"))
                _write(partial / name / "training.jsonl", ((row, division.training[row]) for row in rows))
                _write(partial / name / "held-out.jsonl", enumerate(division.held_out))
            _write(partial / "pretraining.jsonl", enumerate(pretraining))
    return Texts(folder / "pretraining.jsonl", {name: _read_texts(folder / name) for name in config.datasets})


def write_controls(config: StudyConfig, data: Path, out: Path) -> dict[str, Path]:
    """Write each data set's controls below ``out``, unless they are there already; the files by data set.

    Raises:
        DataError: a source is missing or holds too little text.
    """
    folder = out / f"{_digest(config, data)}-controls"
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            for name, dataset in config.datasets.items():
                _write(partial / name / "controls.jsonl", enumerate(divide(dataset, config, data, name).controls))
    return {name: folder / name / "controls.jsonl" for name in config.datasets}


def write_share(texts: DatasetTexts, share: float, seed: int, out: Path) -> tuple[Path, frozenset[int]]:
    """Write D with a random share of its distinct examples, each with all of its copies, below ``out``.

    Returns:
        The file, and the numbers of the documents that it lacks.
    """
    distinct = sorted(set(texts.documents))
    seen = {*random.Random(seed).sample(distinct, max(1, round(share * len(distinct))))}
    folder = out / digest_of([fingerprint(TrainingSet(str(texts.training))), share, seed])[:16]
    if not folder.is_dir():
        with atomic_folder(folder) as partial, texts.training.open(encoding="utf-8") as rows:
            kept = [row for row, document in zip(rows, texts.documents, strict=True) if document in seen]
            (partial / texts.training.name).write_text("".join(kept), encoding="utf-8", newline="\n")
    return folder / texts.training.name, frozenset(distinct) - seen


def divide(dataset: Dataset, config: StudyConfig, data: Path, name: str) -> Division:
    """A data set's text, divided by documents and cut into pieces; exact copies of a document count once.

    Raises:
        DataError: a source is missing or holds too little text.
    """
    rng = _random(config, name, "division")
    documents = list(dict.fromkeys(_documents(dataset.text, dataset, data)))
    rng.shuffle(documents)
    shares = asdict(dataset.shares)
    parts = dict(zip(shares, allot(documents, list(shares.values())), strict=True))
    if dataset.held_out is not None:
        training_documents = set(documents)
        held_out = dict.fromkeys(_documents(dataset.held_out, dataset, data))
        parts["held_out"] = [document for document in held_out if document not in training_documents]
    if not parts["pretraining"]:
        raise DataError(f"Documents to pre-train on were expected in {dataset.text}, and its share holds none.")
    length = config.extraction.window_tokens * CHARACTERS_PER_TOKEN
    seen: set[str] = set()
    drawn, left = {}, {}
    for part, wanted in (("training", dataset.examples), ("held_out", dataset.held_out_examples)):
        distinct_pieces = [piece for piece in _pieces_of(parts[part], length) if piece not in seen]
        seen.update(distinct_pieces)
        if len(distinct_pieces) < wanted:
            raise DataError(
                f"{wanted} distinct pieces of {length} characters were expected in the {part} text of data set {name};"
                f" found {len(distinct_pieces)}: ask for fewer examples or give it more text."
            )
        drawn[part] = tuple(rng.sample(distinct_pieces, wanted))
        left[part] = sorted({*distinct_pieces} - {*drawn[part]})
    controls = left["training"]
    if dataset.held_out is None:
        controls += [*drawn["held_out"], *left["held_out"]]
    _random(config, name, "controls").shuffle(controls)
    return Division(tuple(parts["pretraining"]), drawn["training"], drawn["held_out"], tuple(controls))


def allot(documents: Sequence[str], shares: Sequence[float]) -> list[list[str]]:
    """Assign each document to the part that is furthest behind its share of the characters so far.

    If the shares are below 1 together, some documents are assigned to no part.
    """
    wanted = [*shares, max(0.0, 1.0 - sum(shares))]
    held = [0] * len(wanted)
    parts: list[list[str]] = [[] for _ in wanted]
    total = 0
    for document in documents:
        total += len(document)
        behind = [share * total - characters for share, characters in zip(wanted, held, strict=True)]
        # A part of no share is never behind, but rounding may leave it level with the others.
        part = max((index for index, share in enumerate(wanted) if share > 1e-9), key=behind.__getitem__)
        held[part] += len(document)
        parts[part].append(document)
    return parts[: len(shares)]


def pieces(document: str, length: int) -> list[str]:
    """Consecutive pieces of at least ``length`` characters, cut at white space; a shorter rest is left out."""
    return re.findall(rf"\S(?s:.){{{length - 1},}}?(?<=\S)(?=\s|\Z)", document)


def repeated(distinct: int, repetition: Sequence[tuple[int, float]], rng: random.Random) -> list[int]:
    """Rows of D, shuffled, as numbers of distinct examples.

    For each (copies, share), share · distinct examples, rounded down, occur ``copies`` times; all others occur once.
    """
    shuffled = rng.sample(range(distinct), distinct)
    # Decimal shares are not exact as floats: 0.29 · 100 is a little less than 29.
    copies = [count for count, share in repetition for _ in range(math.floor(share * distinct + 1e-6))]
    copies += [1] * (distinct - len(copies))
    rows = [number for number, count in zip(shuffled, copies, strict=True) for _ in range(count)]
    rng.shuffle(rows)
    return rows


def _pieces_of(documents: Iterable[str], length: int) -> list[str]:
    return list(dict.fromkeys(piece for document in documents for piece in pieces(document, length)))


def _source(text: str, dataset: Dataset, data: Path) -> TrainingSet:
    path = data / text
    if not path.exists() and text not in PRESETS:
        raise DataError(
            f"Text of the study was expected at {path}, and nothing is there; name the data folder with --data or"
            " KDMEM_DATA."
        )
    source = str(path) if path.exists() else text
    return TrainingSet(source, text_column=dataset.text_column, documents=dataset.documents)


def _documents(text: str, dataset: Dataset, data: Path) -> Iterator[str]:
    read = 0
    for document in read_documents(_source(text, dataset, data)):
        if not isinstance(document, str):
            raise DataError(f"Text was expected in {text}, as every family tokenises it anew; found token ids.")
        if dataset.characters is not None and read >= dataset.characters:
            return
        read += len(document)
        if document.strip():
            yield document


def _digest(config: StudyConfig, data: Path) -> str:
    """Digest of all that a study's texts depend on, as the name of a folder."""
    sources = [
        [asdict(dataset), *(fingerprint(_source(text, dataset, data)) for text in dataset.texts)]
        for dataset in config.datasets.values()
    ]
    settings = [VERSION, config.extraction.window_tokens, config.repetition, config.seed, list(config.datasets)]
    return digest_of([settings, sources])[:16]


def _random(config: StudyConfig, *purpose: str) -> random.Random:
    return random.Random(digest_of([config.seed, *purpose]))


def _write(path: Path, rows: Iterable[tuple[int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps({"id": number, "text": text}) + "\n" for number, text in rows)


def _read_texts(folder: Path) -> DatasetTexts:
    training = folder / "training.jsonl"
    with training.open(encoding="utf-8") as file:
        rows: Iterator[Any] = map(json.loads, file)
        documents = tuple(int(row["id"]) for row in rows)
    return DatasetTexts(training, folder / "held-out.jsonl", documents)
