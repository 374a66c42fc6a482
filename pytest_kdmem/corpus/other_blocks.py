"""Reads the beginning of a training set as blocks, in every way that training may have packed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.other_readings import OtherReading
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.token_pairs import Indices, pair_by_origin

BLOCKS_COMPARED = 6
# Least share of tokens that must be the same where two ways to pack have one place in the stream.
SAME_TOKENS = 0.95


def pack_otherwise(source: Source, first: Sequence[Document]) -> tuple[tuple[TokenIds, ...], list[OtherReading]]:
    """The first blocks as read, and other ways to pack the source's first documents.

    They begin where the training set begins, because each block's start depends on everything before it.
    """
    documents = _first_documents(source, first)
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


def _first_documents(source: Source, first: Sequence[Document]) -> list[Document]:
    """The first documents that fill the blocks to compare, and one block over for ways that are shifted."""
    documents: list[Document] = []
    tokens = 0
    for document in first:
        if tokens >= (BLOCKS_COMPARED + 1) * source.window:
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
    bare = [_strip(row, edges) for row in source.encode(documents, window=window * (BLOCKS_COMPARED + 1))]
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
