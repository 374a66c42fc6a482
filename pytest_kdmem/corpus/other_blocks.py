"""Reads the beginning of a training set as blocks, in every way that training may have packed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.other_readings import OtherReading
from pytest_kdmem.corpus.own_text import runs_of
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.token_pairs import Indices, pair_by_origin
from pytest_kdmem.specs.other_readings import IN_BLOCKS

BLOCKS_COMPARED = 6
# Documents that are compared with themselves in blocks, and blocks that hold the beginning of one behind others.
DOCUMENTS_IN_BLOCKS, BLOCKS_OF_DOCUMENTS = 16, 6
# Share of the runs of a few tokens of a document that may stand in others before it.
MOST_REPEATED = 0.5
# Least share of tokens that must be the same where two ways to pack have one place in the stream.
SAME_TOKENS = 0.95


def pack_otherwise(source: Source, first: Sequence[Document]) -> tuple[tuple[TokenIds, ...], list[OtherReading]]:
    """The first blocks as read, and other ways to pack the source's first documents.

    They begin where the training set begins, because each block's start depends on everything before it.
    """
    documents = _first_documents(source, first, (BLOCKS_COMPARED + 1) * source.window)
    window, edges = source.window, set(source.edge_ids().values())
    blocks = source.blocks(documents)
    as_read = tuple(block for block in blocks if len(block) == window)[:BLOCKS_COMPARED] or tuple(blocks[:1])
    origins = _origins(as_read, edges)
    readings = []
    for name, sequences, places in _packed(source, documents, edges):
        sequences, places = sequences[: BLOCKS_COMPARED + 1], places[: BLOCKS_COMPARED + 1]
        pairs = [
            pair
            for pair in pair_by_origin(origins, places, skip=source.skipped)
            if _share_equal(as_read, sequences, pair.as_read, pair.otherwise) >= SAME_TOKENS
        ]
        if any(not np.array_equal(first, second) for first, second in zip(as_read, sequences, strict=False)):
            readings.append(OtherReading(name, as_read, tuple(sequences), tuple(pairs)))
    return as_read, [reading for reading in readings if reading.pairs]


def read_in_blocks(source: Source, first: Sequence[Document]) -> list[OtherReading]:
    """The first documents, each as it stands in a block behind others, if training packed what is read alone.

    How long the blocks of training were is not known; they are cut by the window. The first document stands behind
    none, and one that repeats others before it is likelier behind them to any model: these are not compared.
    """
    blocks = replace(source, training_set=replace(source.training_set, form="blocks"))
    documents = _first_documents(blocks, first, DOCUMENTS_IN_BLOCKS * blocks.window)[:DOCUMENTS_IN_BLOCKS]
    edges = set(source.edge_ids().values())
    if len(documents) < 2:
        return []
    as_read = tuple(source.encode(documents))
    lengths = [_content(row, edges).sum() for row in source.encode(documents, window=_longest(blocks))]
    starts = np.cumsum([0, *lengths])
    origins = [
        _places(row, edges, int(start)) if at and not _repeats(row, as_read[:at]) else np.full(len(row), -1)
        for at, (row, start) in enumerate(zip(as_read, starts, strict=False))
    ]
    readings = []
    for name, sequences, places in _packed(blocks, documents, edges):
        if (name := f"in-{name}") in IN_BLOCKS:
            held = [at for at, place in enumerate(places) if pair_by_origin(origins, [place], skip=source.skipped)]
            held = held[:BLOCKS_OF_DOCUMENTS]
            held_places, held_blocks = [places[at] for at in held], tuple(sequences[at] for at in held)
            pairs = pair_by_origin(origins, held_places, skip=source.skipped)
            compared = sorted({int(at) for pair in pairs for at in pair.as_read[:, 0]})
            pairs = pair_by_origin([origins[at] for at in compared], held_places, skip=source.skipped)
            readings.append(OtherReading(name, tuple(as_read[at] for at in compared), held_blocks, tuple(pairs)))
    return [reading for reading in readings if reading.pairs]


def _repeats(row: TokenIds, before: Sequence[TokenIds]) -> bool:
    """Whether most runs of a few tokens of a document stand in those before it."""
    runs = runs_of(row)
    return len(runs & set[bytes]().union(*map(runs_of, before))) > MOST_REPEATED * len(runs)


def _first_documents(source: Source, first: Sequence[Document], needed: int) -> list[Document]:
    """The first documents that hold so many tokens: those of the blocks to compare, and of one for shifted ways."""
    documents: list[Document] = []
    tokens = 0
    for document in first:
        if tokens >= needed:
            break
        [row] = source.encode([document], window=max(source.window * BLOCKS_COMPARED, source.minimum_tokens))
        if len(row) >= source.minimum_tokens:
            documents.append(document)
            tokens += len(row)
    return documents


def _packed(
    source: Source, documents: Sequence[Document], edges: set[int]
) -> Iterator[tuple[str, list[TokenIds], list[Indices]]]:
    """Name, blocks and places of each way to pack."""
    window, ids = source.window, source.edge_ids()
    bare = [_strip(row, edges) for row in source.encode(documents, window=_longest(source))]
    begins = [name for name in ("bos", "eos") if name in ids][:1]
    ends = {**({"one-eos": [ids["eos"]]} if "eos" in ids else {}), "no-eos": []}
    for after, end in ends.items():
        streams = {f"blocks-{after}": np.concatenate([_joined(row, end) for row in bare])}
        for edge in begins:
            first = [ids[edge]]
            streams[f"blocks-{edge}-first-{after}"] = np.concatenate([_joined(first, row, end) for row in bare])
            begun = [_joined(first, block) for block in _cut(streams[f"blocks-{after}"], window - 1)]
            yield f"blocks-begin-with-{edge}-{after}", begun, _origins(begun, edges)
        for name, stream in streams.items():
            blocks = _cut(stream, window)
            yield name, blocks, _origins(blocks, edges)
    starts = np.cumsum([0, *(_content(row, edges).sum() for row in bare)])
    alone = [row[:window] for row in bare]
    places = [_places(row, edges, int(start)) for row, start in zip(alone, starts, strict=False)]
    yield "documents", alone, places


def _longest(source: Source) -> int:
    """Number of tokens of a document behind which nothing is compared."""
    return source.window * (BLOCKS_COMPARED + 1)


def _strip(row: TokenIds, edges: set[int]) -> TokenIds:
    """A document without the special tokens at its edges."""
    content = np.flatnonzero(_content(row, edges))
    return row[content[0] : content[-1] + 1] if len(content) else row[:0]


def _joined(*parts: TokenIds | list[int]) -> TokenIds:
    return np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])


def _cut(stream: TokenIds, window: int) -> list[TokenIds]:
    """The whole blocks of a stream; all of it if it fills none."""
    whole = [stream[start : start + window] for start in range(0, len(stream) - window + 1, window)]
    return whole or [stream]


def _content(row: TokenIds, edges: set[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return ~np.isin(row, list(edges))


def _origins(blocks: Sequence[TokenIds], edges: set[int]) -> list[Indices]:
    """The place of each token in the stream of all tokens but special ones, −1 for these."""
    origins, start = [], 0
    for block in blocks:
        origins.append(_places(block, edges, start))
        start += int(_content(block, edges).sum())
    return origins


def _places(row: TokenIds, edges: set[int], start: int) -> Indices:
    content = _content(row, edges)
    return np.where(content, start + np.cumsum(content) - 1, -1).astype(np.int64)


def _share_equal(as_read: Sequence[TokenIds], otherwise: Sequence[TokenIds], first: Indices, second: Indices) -> float:
    equal = [
        as_read[sequence][position] == otherwise[other][place]
        for (sequence, position), (other, place) in zip(first, second, strict=True)
    ]
    return sum(map(bool, equal)) / max(1, len(equal))
