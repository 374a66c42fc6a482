"""Reads a few documents of a training set as declared, and in every other way that training may have read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.auto_reading import AutoReading
from pytest_kdmem.corpus.columns import Document, TokenRow
from pytest_kdmem.corpus.file_readings import SENTENCEPIECE_MODELS, TOKENIZER_JSON, FileReading, SentencePieceReading
from pytest_kdmem.corpus.own_text import OWN
from pytest_kdmem.corpus.reading_source import CHARACTERS_PER_TOKEN, Source, ids_of
from pytest_kdmem.corpus.readings import Reading, ReadingsDiffer
from pytest_kdmem.corpus.token_pairs import TokenPair, pair_shifted, pair_whole
from pytest_kdmem.errors import SpecError

# Documents that are drawn and tokenized, and those of them that are compared.
DOCUMENTS_TOKENIZED = 32
DOCUMENTS_COMPARED = 8
# A run of one token at the edge of a row of token ids is padding from this length on.
SHORTEST_PADDING = 4


@dataclass(frozen=True)
class OtherReading:
    """One way to turn the sampled documents into token ids.

    Attributes:
        name: Name of the way, by which `scoring.reading_check` says what it is.
        as_read: Token ids as read, cut to the window.
        otherwise: Token ids of the same text in this way, cut to the window.
        pairs: The tokens that are compared.
    """

    name: str
    as_read: tuple[TokenIds, ...]
    otherwise: tuple[TokenIds, ...]
    pairs: tuple[TokenPair, ...] = ()


def read_otherwise(
    source: Source, documents: Sequence[Document], *, compared: int = DOCUMENTS_COMPARED, from_start: bool = True
) -> tuple[tuple[TokenIds, ...], list[OtherReading]]:
    """Some of the documents as read, and in other readings, of which none is the same as read.

    Args:
        source: What the documents are of.
        documents: Documents to draw from.
        compared: Number of documents to draw. Of blocks, only the token ids of documents are compared, and not what
            stands at their edges, which the documents around them decide.
        from_start: Whether they are those at the beginning of the source. What stands at the edges of texts is the same
            for all of a source, so it is compared of these alone; each row of token ids has edges of its own.
    """
    documents = _sampled(source, documents, compared)
    as_read = tuple(source.encode(documents))
    readings: list[OtherReading] = []
    texts = [document for document in documents if isinstance(document, str)]
    is_text = len(texts) == len(documents)
    has_edges = source.training_set.form == "documents" and (from_start or not is_text)
    if source.tokenizer is not None and is_text:
        readings += _text_readings(source, texts, as_read) if has_edges else ()
        with suppress(ReadingsDiffer):  # behind the window
            readings += _tokenizer_readings(source, texts)
    readings += _edge_readings(source, as_read) if has_edges else ()
    readings += [*_padding_readings(source, documents, as_read), *_beside_readings(source, documents, as_read)]
    return as_read, [reading for reading in readings if reading.pairs]


def _sampled(source: Source, documents: Sequence[Document], compared: int) -> list[Document]:
    """Some distinct documents, which hold prefix and suffix if there are such documents."""
    order = np.random.default_rng(0).permutation(len(documents))[:DOCUMENTS_TOKENIZED]
    drawn = [documents[index] for index in order]
    sequences = source.encode(drawn)
    distinct = {ids.tobytes(): index for index, ids in reversed(list(enumerate(sequences)))}
    # Long documents first; the order of the draw decides between documents of equal length.
    ranked = sorted(sorted(distinct.values()), key=lambda index: -len(sequences[index]))
    long_enough = [
        index for index in sorted(distinct.values()) if len(sequences[index]) >= source.extraction.scored_tokens
    ]
    chosen = long_enough or ranked
    shares = source.own_text(sequences, drawn)
    # Those that may be of another tokenizer are rare at times, so they come before others that were drawn.
    foreign = [index for index in chosen if shares and shares[index] < OWN][: compared // 2]
    others = [index for index in chosen if index not in foreign][: compared - len(foreign)]
    return [drawn[index] for index in (*others, *foreign)]


def _edge_readings(source: Source, as_read: tuple[TokenIds, ...]) -> Iterator[OtherReading]:
    """With a beginning token in front of each document, and without the one it has."""
    ids = source.edge_ids()
    for name, first in ids.items():
        sequences = [row if row[:1] == first else np.concatenate([[first], row]).astype(np.int32) for row in as_read]
        yield _shifted(f"{name}-first", source, as_read, sequences)
    edges = list(ids.values())
    yield _shifted("nothing-first", source, as_read, [row[int(np.isin(row[:1], edges).sum()) :] for row in as_read])


def _padding_readings(
    source: Source, documents: Sequence[Document], as_read: tuple[TokenIds, ...]
) -> Iterator[OtherReading]:
    """Without the runs of one token at the edges of rows of token ids."""
    if any(isinstance(document, str) for document in documents):
        return
    rows = [ids_of(document) for document in documents]
    edges = [_padding(row) for row in rows]
    stripped = tuple(
        row[left : len(row) - right][: source.window] for row, (left, right) in zip(rows, edges, strict=True)
    )
    padded = [index for index, edge in enumerate(edges) if any(edge)]
    first, second = (tuple(row[index] for index in padded) for row in (as_read, stripped))
    yield _whole("without-padding", first, second, same_text=False)
    behind = [
        pair_shifted(index, as_read[index], stripped[index], skip=source.skipped, shift=-edges[index][0])
        for index in padded
        if edges[index][0]
    ]
    yield OtherReading("without-padding", as_read, stripped, tuple(pair for pair in behind if pair is not None))


def _padding(row: TokenIds) -> tuple[int, int]:
    """Lengths of the runs of one token at both edges of a row, 0 where there is no padding."""
    changes = np.flatnonzero(np.diff(row)) if len(row) else np.empty(0, np.int64)
    if not len(changes):
        return 0, 0
    left, right = int(changes[0]) + 1, len(row) - int(changes[-1]) - 1
    return left * (left >= SHORTEST_PADDING), right * (right >= SHORTEST_PADDING)


def _beside_readings(
    source: Source, documents: Sequence[Document], as_read: tuple[TokenIds, ...]
) -> Iterator[OtherReading]:
    """By the text that stands beside rows of token ids."""
    texts = [document.text for document in documents if isinstance(document, TokenRow) and document.text is not None]
    if source.tokenizer is not None and texts and len(texts) == len(documents):
        with suppress(ReadingsDiffer):
            yield _whole("text-beside", as_read, tuple(source.encode(texts)), same_text=False)


def _text_readings(source: Source, texts: list[str], as_read: tuple[TokenIds, ...]) -> Iterator[OtherReading]:
    """With and without the special tokens that the tokenizer adds, and with another space in front of the text."""
    assert source.tokenizer is not None
    cut = [text[: source.window * CHARACTERS_PER_TOKEN] for text in texts]
    for name, adds in (("with-special-tokens", True), ("without-special-tokens", False)):
        with suppress(ReadingsDiffer):
            encoded = source.tokenizer.encode(cut, add_special_tokens=adds, needed=source.window)
            yield _shifted(name, source, as_read, _ids(encoded))
    with suppress(ReadingsDiffer):
        spaced = [text.lstrip() if text[:1].isspace() else f" {text}" for text in texts]
        yield _shifted("other-space-first", source, as_read, source.encode(spaced))


def _tokenizer_readings(source: Source, texts: list[str]) -> Iterator[OtherReading]:
    """By every tokenizer that the files of the model's folder make, over texts that fit into the window."""
    texts = [text[: source.window * CHARACTERS_PER_TOKEN] for text in texts]
    own_ids = source.encode(texts, window=source.window * CHARACTERS_PER_TOKEN)
    for name, reading in _other_tokenizers(source):
        with suppress(SpecError):  # a SentencePiece model may not say what it adds
            others = reading.encode(texts, add_special_tokens=source.has_special_tokens)
            differing = [
                (text, max(len(own), len(other)))
                for text, own, other in zip(texts, own_ids, others, strict=True)
                if own.tolist() != list(other)
            ]
            if not differing:
                continue
            cut = [text[: int(len(text) * source.window / max(length, source.window))] for text, length in differing]
            encoded = _ids(reading.encode(cut, add_special_tokens=source.has_special_tokens))
            otherwise = tuple(ids[: source.window] for ids in encoded)
            yield _whole(name, tuple(source.encode(cut)), otherwise, same_text=True)


def _other_tokenizers(source: Source) -> Iterator[tuple[str, Reading]]:
    """Every tokenizer that the files of the model's folder make and that may read otherwise, with its name."""
    folder = source.checkpoint.text_folder
    if source.tokenizer is None or not source.tokenizer.is_one_pipeline:
        if (folder / TOKENIZER_JSON).is_file():
            yield "tokenizer-json", FileReading(folder)
        with suppress(SpecError):
            yield "tokenizer-auto", AutoReading.load(folder, trust_remote_code=False)
    if any((folder / name).is_file() for name in SENTENCEPIECE_MODELS):
        with suppress(SpecError):
            yield "tokenizer-model", SentencePieceReading(folder)


def _whole(
    name: str, as_read: tuple[TokenIds, ...], otherwise: tuple[TokenIds, ...], *, same_text: bool
) -> OtherReading:
    """A reading that is compared by all tokens of each document."""
    pairs = [
        pair_whole(index, first, second, same_text=same_text)
        for index, (first, second) in enumerate(zip(as_read, otherwise, strict=True))
        if not np.array_equal(first, second)
    ]
    return OtherReading(name, as_read, otherwise, tuple(pair for pair in pairs if pair is not None))


def _shifted(name: str, source: Source, as_read: tuple[TokenIds, ...], sequences: Sequence[TokenIds]) -> OtherReading:
    """A reading with the tokens as read but for a few at the start; documents that stay the same are left out."""
    cut = tuple(row[: source.window] for row in sequences)
    pairs = [
        pair_shifted(index, first, second, skip=source.skipped)
        for index, (first, second) in enumerate(zip(as_read, cut, strict=True))
        if not np.array_equal(first, second)
    ]
    return OtherReading(name, as_read, cut, tuple(pair for pair in pairs if pair is not None))


def _ids(encoded: Sequence[Sequence[int]]) -> list[TokenIds]:
    return [np.asarray(ids, dtype=np.int32) for ids in encoded]
