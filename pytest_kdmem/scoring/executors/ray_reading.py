"""Reads files of object stores and of the hub by Ray Data, several ahead, and keeps the order of their documents.

Each file is read by one task of Ray Data, by the same code as without Ray, and Ray Data returns the tasks' results in
the order of the files. Ray's own readers are not used, since they read differently: text that looks like a date becomes
one, blank lines are dropped, and a file of lines is read as a whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.columns import Document, TokenRow
from pytest_kdmem.corpus.conversations import ChatRow, chat_from_json, chat_to_json
from pytest_kdmem.corpus.formats import DocumentReader
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.executors.ray_cluster import cluster

# One file that is used and one ahead: a run waits for tokenizing, not for reading.
FILES_AT_ONCE = 2
BYTES_AT_ONCE = 4 << 20
ROWS_AT_ONCE = 1024
# A row holds a text, or token ids, or a conversation as JSON, or the error of the file from there on, which is raised
# when it is reached. With token ids can come the text beside them, which of them training learned, and their row in
# messages.
SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("ids", pa.large_list(pa.int32())),
        ("learned", pa.large_list(pa.bool_())),
        ("where", pa.string()),
        ("chat", pa.large_string()),
        ("error", pa.string()),
    ]
)


def gather_by_ray(parts: Sequence[DocumentReader]) -> Generator[Document, None, None]:
    """The documents of all parts, in order.

    The reading tasks reserve no CPUs: scoring may hold all of them, and it waits for what is read here.

    Raises:
        DataError: A part raises it, after all documents before it; or Ray cannot read a file.
    """
    if not parts:
        return
    with cluster() as ray:
        with warnings.catch_warnings(action="ignore"), _settings(ray.data.DataContext):  # Ray warns of its own settings
            rows = ray.data.from_items(list(range(len(parts))), override_num_blocks=len(parts)).map_batches(
                partial(_read_part, parts),
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
                f"Files were expected to be readable by Ray, and {cause_of(error)} ended the reading; read without"
                " --kdmem-executor ray, which shows where."
            ) from None  # the message of another package may hold training text


@contextmanager
def _settings(data_context: Any) -> Iterator[None]:
    """Change Ray Data's settings for the data sets declared within, and restore the process's own afterwards."""
    settings = data_context.get_current().copy()
    settings.execution_options.preserve_order = True
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    settings.target_max_block_size = BYTES_AT_ONCE  # a task hands on its rows in blocks of this size
    with data_context.current(settings):
        yield


def _read_part(parts: Sequence[DocumentReader], indices: pa.Table) -> Iterator[pa.Table]:
    """Read one part, in a task of Ray.

    Args:
        parts: All parts.
        indices: A table of one row, whose column ``item`` is the index of the part.
    """
    [index] = indices["item"].to_pylist()
    rows: list[dict[str, Any]] = []
    size = 0
    for row in _rows(parts[index]()):
        rows.append(row)
        size += len(row.get("text") or row.get("chat") or "") + 4 * len(row.get("ids", ()))
        if len(rows) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield pa.Table.from_pylist(rows, SCHEMA)
            rows, size = [], 0
    yield pa.Table.from_pylist(rows, SCHEMA)


def _rows(documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
    try:
        for document in documents:
            if isinstance(document, TokenRow):
                yield document._asdict()
            elif isinstance(document, ChatRow):
                yield {"chat": chat_to_json(document)}
            else:
                yield {"text": document} if isinstance(document, str) else {"ids": document}
    except DataError as error:
        yield {"error": str(error)}


def _documents(table: pa.Table) -> Iterator[Document]:
    for text, ids, learned, where, chat, error in zip(*(table[name] for name in SCHEMA.names), strict=True):
        if error.is_valid:
            raise DataError(error.as_py())
        if chat.is_valid:
            yield chat_from_json(chat.as_py())
            continue
        if not ids.is_valid:
            yield text.as_py()
            continue
        # The ids are copied, since Ray's memory is gone when the cluster is.
        token_ids = np.array(ids.values, dtype=np.int32)
        if where.is_valid:
            flags = np.array(learned.as_py(), dtype=np.bool_) if learned.is_valid else None
            yield TokenRow(token_ids, where.as_py(), flags, text.as_py())
        else:
            yield token_ids


def cause_of(error: Any) -> str:
    """Name of the type of the exception that a task raised."""
    while getattr(error, "cause", None) is not None or error.__cause__ is not None:
        error = getattr(error, "cause", None) or error.__cause__
    return type(error).__name__
