"""Keeps in memory once what the tables of several models have in common: which examples their rows are of."""

from __future__ import annotations

import pyarrow as pa

# Columns that tell of an example, and not of a model; they are most of a table's bytes.
COMMON_COLUMNS = ("example_id", "digest", "status", "zlib_bytes", "tokens", "suffix_at")


class CommonColumns:
    """Columns of pieces of tables in memory, each as the first of several tables has it."""

    def __init__(self) -> None:
        self._columns: dict[tuple[tuple[str, ...], str], pa.ChunkedArray] = {}

    def share(self, shards: tuple[str, ...], rows: pa.Table) -> pa.Table:
        """The rows of some shards, with those columns of an earlier table that are equal."""
        for index, field in enumerate(rows.schema):
            if field.name in COMMON_COLUMNS:
                column = self._columns.setdefault((shards, field.name), rows[index])
                if column.equals(rows[index]):
                    rows = rows.set_column(index, field, column)
        return rows
