"""Reads and stores the rows of a shard in each of the tables that a task fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.scoring.copies import Parts
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import join_rows

# Arrow's own notes on each shard would be a quarter of the memory of a table of millions of rows.
SHARDS_PER_PIECE = 64

# Of each table that a task fills, the rows in the order of the corpus, in pieces of many shards.
Tables = tuple[list[pa.Table], ...]


@dataclass(frozen=True)
class StoredParts:
    """The tables of one task in a store.

    Attributes:
        store: The store.
        keys: For each table, the store's keys under which its rows may lie; new rows are stored under the last.
        schemas: For each table, the columns that are wanted; stored rows may have others.
    """

    store: ScoreStore
    keys: tuple[tuple[str, ...], ...]
    schemas: tuple[pa.Schema, ...]

    def read(self, shard: str) -> Parts | None:
        """A shard's stored rows in every table, or None if one of the tables lacks them."""
        stored = [self._read(table, shard) for table in range(len(self.keys))]
        parts = tuple(part for part in stored if part is not None)
        return parts if len(parts) == len(stored) else None

    def read_all(self, shards: Sequence[str]) -> Tables | None:
        """The stored rows of all shards of a run, joined, or None if any of them is missing."""
        pieces = []
        for batch in in_batches(shards, SHARDS_PER_PIECE):
            parts = [part for shard in batch if (part := self.read(shard)) is not None]
            if len(parts) < len(batch):
                return None
            pieces.append(self._join(batch, parts))
        pa.default_memory_pool().release_unused()  # what the shards took before they were joined
        return tuple(map(list, zip(*pieces, strict=True)))

    def join(self, parts: dict[str, Parts], shards: Sequence[str]) -> Tables:
        """The rows of all shards of a run, joined; they are taken out of the dictionary, so that none is held twice."""
        pieces = [
            self._join(batch, [parts.pop(shard) for shard in batch]) for batch in in_batches(shards, SHARDS_PER_PIECE)
        ]
        return tuple(map(list, zip(*pieces, strict=True)))

    def _join(self, shards: tuple[str, ...], parts: Sequence[Parts]) -> Parts:
        tables = zip(*parts, strict=True)
        return tuple(self.store.common_columns.share(shards, join_rows(table)) for table in tables)

    def write(self, shard: str, parts: Parts) -> Parts:
        """Store a shard's rows in every table, and return them; rows that a table holds already stay and are used."""
        kept = []
        for table, (keys, part) in enumerate(zip(self.keys, parts, strict=True)):
            # With one table only, the shard would not have been scored if its rows were stored.
            stored = self._read(table, shard) if len(parts) > 1 else None
            if stored is None:
                self.store.write_shard(keys[-1], shard, part)
                stored = part
            kept.append(stored)
        return tuple(kept)

    def _read(self, table: int, shard: str) -> pa.Table | None:
        """The wanted columns of a shard's rows in a table, or None."""
        stored = (self.store.read_shard(key, shard) for key in self.keys[table])
        rows = next((rows for rows in stored if rows is not None), None)
        return None if rows is None else rows.select(self.schemas[table].names)
