"""Rows that are made once and kept in a folder, in shards; several processes share the work of making them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, concatenate_datasets

from pytest_kdmem.base.files import atomic_file, make_folder, write_text
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.process_group import ProcessGroup

ROWS_PER_SHARD = 4096

TOKEN_IDS = pa.schema([("input_ids", pa.list_(pa.int32()))])
ANSWERS = pa.schema([*TOKEN_IDS, ("prompt_tokens", pa.int32())])

Record = dict[str, Any]


def with_teacher(*, of_answers: bool) -> pa.Schema:
    """Columns of rows with a teacher's log-probabilities."""
    columns = ANSWERS if of_answers else TOKEN_IDS
    return pa.schema([*columns, ("teacher_ids", pa.list_(pa.int32())), ("teacher_logprobs", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class RowStore:
    """A folder of shards.

    Args:
        folder: The folder; it is created when rows are added.
        processes: The processes that share the work: shard n falls to process n modulo their number.
        rows_per_shard: Rows in each shard but the last.
    """

    folder: Path
    processes: ProcessGroup
    rows_per_shard: int = ROWS_PER_SHARD

    def is_complete(self) -> bool:
        """Whether every shard has been written."""
        return self._count_file.is_file() and all(path.is_file() for path in self._shard_paths())

    def add_missing(
        self, source: Iterable[Any], make: Callable[[list[Any]], Iterable[Record]], schema: pa.Schema
    ) -> None:
        """Write the shards that fall to this process and do not exist yet.

        Args:
            source: The same items in the same order in every process and every run.
            make: Makes the rows of a shard from its items; called only for missing shards.
            schema: Columns of the rows.
        """
        make_folder(self.folder, private=True)  # rows are token ids, which are text
        count = 0
        for items in in_batches(source, self.rows_per_shard):
            path = self._shard_path(count)
            if count % self.processes.count == self.processes.index and not path.is_file():
                with atomic_file(path, private=True) as temporary:
                    _write_shard(temporary, make(list(items)), schema)
            count += 1
        if self.processes.is_first:
            write_text(str(count), self._count_file)

    def rows(self) -> Dataset:
        """All rows, memory-mapped, in the order of the source; waits until every process has written its shards."""
        self.processes.wait()
        shards = [Dataset.from_file(str(path)) for path in self._shard_paths()]
        filled = [shard for shard in shards if len(shard)]
        if not filled:
            return shards[0] if shards else Dataset.from_dict({"input_ids": []})
        return concatenate_datasets(filled).with_format("numpy")

    @property
    def _count_file(self) -> Path:
        """Holds the number of shards."""
        return self.folder / "shards"

    def _shard_paths(self) -> list[Path]:
        count = int(self._count_file.read_text(encoding="ascii"))
        return [self._shard_path(number) for number in range(count)]

    def _shard_path(self, number: int) -> Path:
        return self.folder / f"{number:06}.arrow"


def count_tokens(rows: Dataset) -> int:
    """Number of token ids in all rows."""
    return sum(len(row["input_ids"]) for row in rows.select_columns("input_ids"))


def _write_shard(path: Path, rows: Iterable[Record], schema: pa.Schema) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for row in rows:
            columns = [pa.array([row[field.name]], field.type) for field in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))
