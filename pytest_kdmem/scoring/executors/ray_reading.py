"""Files of object stores and of the hub, read by Ray Data: several ahead, each document in its place.

Each file is read to its end by one task of Ray Data, through the same code as without Ray, and Ray Data hands on what
the tasks give in the order of the files. Its own readers are not used: they take apart what this package reads
otherwise (text that looks like a date becomes one, blank lines are dropped, a file of lines is read whole).
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.formats import DocumentReader
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.executors.ray_cluster import cluster

# One that is being used and one ahead: tokenising, not reading, is what a run waits for.
FILES_AT_ONCE = 2
BYTES_AT_ONCE = 4 << 20
ROWS_AT_ONCE = 1024
# A row is a text, or ids, or what is wrong with the file from there on, which is told to whoever gets that far.
SCHEMA = pa.schema([("text", pa.large_string()), ("ids", pa.large_list(pa.int32())), ("fault", pa.string())])


def gather_by_ray(parts: Sequence[DocumentReader]) -> Generator[Document, None, None]:
    """The documents of all parts, in order.

    The tasks take no CPUs of Ray's accounts: scoring may hold them all, and it waits for what is read here.

    Raises:
        DataError: what a part raises, once all documents before it were given; or a file cannot be read by Ray.
    """
    if not parts:
        return
    with cluster() as ray:
        with warnings.catch_warnings(action="ignore"), _settings(ray.data.DataContext):  # it warns of its own settings
            rows = ray.data.from_items(list(range(len(parts))), override_num_blocks=len(parts)).map_batches(
                partial(_read, parts),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.TaskPoolStrategy(size=min(FILES_AT_ONCE, len(parts))),
                num_cpus=0,
            )
        try:
            for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from _documents(table)
        except ray.exceptions.RayError as error:
            raise DataError(
                f"Files were expected to be readable by Ray, and {cause_of(error)} broke it off; read without"
                " --kdmem-executor ray, which shows where."
            ) from None  # what another package says may hold training text


@contextmanager
def _settings(data_context: Any) -> Iterator[None]:
    """Ray Data's settings for what is declared within, and the process's own afterwards."""
    settings = data_context.get_current().copy()
    settings.execution_options.preserve_order = True
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    settings.target_max_block_size = BYTES_AT_ONCE  # what a task holds back before it hands on
    with data_context.current(settings):
        yield


def _read(parts: Sequence[DocumentReader], places: pa.Table) -> Iterator[pa.Table]:
    """In a task: the rows of one part."""
    [place] = places["item"].to_pylist()
    rows: list[dict[str, Any]] = []
    size = 0
    for row in _rows(parts[place]()):
        rows.append(row)
        size += len(row.get("text", "")) + 4 * len(row.get("ids", ()))
        if len(rows) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield pa.Table.from_pylist(rows, SCHEMA)
            rows, size = [], 0
    yield pa.Table.from_pylist(rows, SCHEMA)


def _rows(documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
    try:
        for document in documents:
            yield {"text": document} if isinstance(document, str) else {"ids": document}
    except DataError as error:
        yield {"fault": str(error)}


def _documents(table: pa.Table) -> Iterator[Document]:
    for text, ids, fault in zip(*(table[name] for name in SCHEMA.names), strict=True):
        if fault.is_valid:
            raise DataError(fault.as_py())
        # A copy, as Ray's memory is gone when the cluster is.
        yield text.as_py() if text.is_valid else np.array(ids.values, dtype=np.int32)


def cause_of(error: Any) -> str:
    """The type of the exception that a task raised."""
    while getattr(error, "cause", None) is not None or error.__cause__ is not None:
        error = getattr(error, "cause", None) or error.__cause__
    return type(error).__name__
