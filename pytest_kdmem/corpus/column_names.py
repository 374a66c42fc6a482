"""The columns of a file of rows on this machine, by its schema or its first row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import is_file, local_path
from pytest_kdmem.corpus.arrow_files import open_arrow
from pytest_kdmem.corpus.file_lines import UNREADABLE, File
from pytest_kdmem.corpus.formats import first_object
from pytest_kdmem.corpus.sources import file_ending
from pytest_kdmem.errors import DataError


def column_names(source: str) -> dict[str, bool] | None:
    """The columns of a file of rows, each with whether it holds text.

    Returns:
        None if only reading tells: of an address, a folder, lines, numbers, or a file that is not there or damaged.
    """
    path = local_path(source)
    if is_address(source) or not is_file(path):
        return None
    try:
        match file_ending(path):
            case ".parquet":
                return _of_schema(pq.read_schema(path))
            case ".arrow":
                with open_arrow(path) as content:
                    return _of_schema(content.schema)
            case ending if ending is not None and ".jsonl" in ending:
                return _of_row(path)
            case _:
                return None
    except (*UNREADABLE, DataError):
        return None


def _of_schema(schema: pa.Schema) -> dict[str, bool]:
    return {field.name: pa.types.is_string(field.type) or pa.types.is_large_string(field.type) for field in schema}


def _of_row(path: Path) -> dict[str, bool] | None:
    row: Mapping[str, object] | None = first_object(File(LocalFileSystem(), str(path), str(path)))
    return None if row is None else {name: isinstance(value, str) for name, value in row.items()}
