"""Rows made once and kept in a folder, in shards: only missing ones are made, by any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets

from pytest_kdmem.base.files import atomic_file, write_text
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.process_group import ProcessGroup

ROWS_PER_SHARD = 4096

IDS = pa.schema([("input_ids", pa.list_(pa.int32()))])
WITH_TEACHER = pa.schema([*IDS, ("teacher_ids", pa.list_(pa.int32())), ("teacher_logprobs", pa.list_(pa.float32()))])

Record = dict[str, Any]


def store_rows(
    folder: Path,
    source: Iterable[Any],
    make: Callable[[list[Any]], Iterable[Record]],
    schema: pa.Schema,
    processes: ProcessGroup,
    *,
    rows_a_shard: int = ROWS_PER_SHARD,
) -> None:
    """Write ``make(shard of source)`` for every shard that is not there and falls to this process.

    Args:
        source: the same items in the same order in every process and every run.
        make: a shard's items → the rows to keep; called only for shards that are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = -1
    for number, items in enumerate(in_batches(source, rows_a_shard)):
        path = folder / f"{number:06}.arrow"
        if number % processes.count == processes.index and not path.is_file():
            with atomic_file(path) as partial:
                _write(partial, make(list(items)), schema)
    if processes.is_first:
        write_text(str(number + 1), folder / "shards")


def stored_rows(folder: Path) -> Dataset:
    """All rows, memory-mapped, in the order of the source; to be called once every process has stored its part."""
    shards = int((folder / "shards").read_text(encoding="ascii"))
    paths = [folder / f"{number:06}.arrow" for number in range(shards)]
    parts = [Dataset.from_file(str(path)) for path in paths]
    filled = [part for part in parts if len(part)]
    if not filled:
        return Dataset.from_dict({"input_ids": []}) if not parts else parts[0]
    return concatenate_datasets(filled).with_format("numpy")


def are_stored(folder: Path) -> bool:
    """Whether every shard is there."""
    if not (folder / "shards").is_file():
        return False
    shards = int((folder / "shards").read_text(encoding="ascii"))
    return all((folder / f"{number:06}.arrow").is_file() for number in range(shards))


def tokens_of(rows: Dataset) -> int:
    """Token ids over all rows."""
    return sum(len(row["input_ids"]) for row in rows.select_columns("input_ids"))


def as_ids(tokens: np.ndarray[Any, Any]) -> Record:
    return {"input_ids": tokens}


def _write(path: Path, rows: Iterable[Record], schema: pa.Schema) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for row in rows:
            columns = [pa.array([row[field.name]], field.type) for field in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))
