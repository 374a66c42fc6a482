"""Reads and stores the rows of a shard in each of the tables that a task fills."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pytest_kdmem.scoring.copies import Parts
from pytest_kdmem.scoring.store import ScoreStore


@dataclass(frozen=True)
class StoredParts:
    """The tables of one task in a store.

    Attributes:
        store: The store.
        keys: For each table, the store's keys under which its rows may lie; new rows are stored under the last.
    """

    store: ScoreStore
    keys: tuple[tuple[str, ...], ...]

    def read(self, shard: str) -> Parts | None:
        """A shard's stored rows in every table, or None if one of the tables lacks them."""
        stored = [self._read(keys, shard) for keys in self.keys]
        parts = tuple(part for part in stored if part is not None)
        return parts if len(parts) == len(stored) else None

    def write(self, shard: str, parts: Parts) -> Parts:
        """Store a shard's rows in every table, and return them; rows that a table holds already stay and are used."""
        kept = []
        for keys, part in zip(self.keys, parts, strict=True):
            # With one table only, the shard would not have been scored if its rows were stored.
            stored = self._read(keys, shard) if len(parts) > 1 else None
            if stored is None:
                self.store.write_shard(keys[-1], shard, part)
                stored = self.store.common_columns.share(shard, part)
            kept.append(stored)
        return tuple(kept)

    def _read(self, keys: tuple[str, ...], shard: str) -> pa.Table | None:
        stored = next((table for key in keys if (table := self.store.read_shard(key, shard)) is not None), None)
        return None if stored is None else self.store.common_columns.share(shard, stored)
