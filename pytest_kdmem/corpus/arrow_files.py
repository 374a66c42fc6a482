"""Reads arrow files, alone or in a folder that `datasets` saved, without trusting their bytes.

No file is mapped into memory, because a file that is cut short while it is mapped ends the process; and `read_columns`
checks each batch before any value is touched, because arrow follows offsets wherever they point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.file_lines import UNREADABLE, first_line
from pytest_kdmem.corpus.formats import read_columns
from pytest_kdmem.corpus.row_reader import DeclaredColumns, row_reader
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.layout import read_model_json

# Files that `datasets` writes beside the data.
SPLITS, STATE = "dataset_dict.json", "state.json"


class ArrowContent(NamedTuple):
    """An arrow file that is open.

    Attributes:
        schema: Its columns.
        batches: Its rows, which are not validated.
        open_writer: Opens a writer of the format that the file has, for a sink and a schema.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    open_writer: Callable[[Any, pa.Schema], Any]


@contextmanager
def open_arrow(path: Path) -> Iterator[ArrowContent]:
    """Open an arrow file, of either of arrow's two formats, without mapping it."""
    with pa.OSFile(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
            content = ArrowContent(reader.schema, batches, pa.ipc.new_file)
        except pa.ArrowInvalid:  # `datasets` writes the streaming format to files with the same ending
            source.seek(0)
            reader = pa.ipc.open_stream(source)
            content = ArrowContent(reader.schema, iter(reader), pa.ipc.new_stream)
        yield content


def read_arrow(path: Path, declared: DeclaredColumns) -> Iterator[Document]:
    """The documents of an arrow file, of either of arrow's two formats.

    Raises:
        DataError: The file is damaged, or has no such column.
    """
    try:
        with open_arrow(path) as content:
            rows = row_reader(content.schema.names, declared, str(path))
            yield from read_columns((batch.select(list(rows.columns)) for batch in content.batches), rows, str(path))
    except UNREADABLE as error:
        raise DataError(f"An arrow file was expected at {path}, and it cannot be read ({first_line(error)}).") from None


def read_saved_folder(path: Path, split: str, declared: DeclaredColumns) -> Iterator[Document]:
    """The documents of a folder that `datasets` saved by ``save_to_disk``, in order.

    Raises:
        DataError: The folder is another one or damaged, or has no such split or column.
    """
    for file in saved_files(path, split):
        yield from read_arrow(file, declared)


def saved_files(path: Path, split: str) -> list[Path]:
    """The arrow files of a split in a folder that `datasets` saved, in the order of their rows.

    Raises:
        DataError: The folder is another one or damaged, or has no such split.
    """
    return _files_of(_split_folder(path, split))


def _split_folder(path: Path, split: str) -> Path:
    """The folder of a split; a folder without splits is the whole set, whatever split is asked for."""
    if not (path / SPLITS).is_file():
        return path
    splits = _read_json(path, SPLITS).get("splits")
    if not isinstance(splits, list) or split not in splits:
        raise DataError(f"Split {quoted(split)} was expected in {path}; found {_names(splits)}.")
    return path / split


def _files_of(folder: Path) -> list[Path]:
    state = _read_json(folder, STATE)
    if state.get("_indices_data_files"):
        raise DataError(
            f"Rows in the order of their files were expected in {folder}, and another is kept; save it anew."
        )
    entries = state.get("_data_files")
    listed_entries = entries if isinstance(entries, list) else []
    names = [str(entry.get("filename")) for entry in listed_entries if isinstance(entry, dict)]
    # A name with a folder in it could lead out of the saved folder.
    if not names or len(names) < len(listed_entries) or any(name != Path(name).name for name in names):
        raise DataError(f"Names of data files were expected in {folder / STATE}; found {listed(names)}.")
    return [folder / name for name in names]


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        return read_model_json(folder / name, "a folder saved by `datasets` (save_to_disk)")
    except SpecError as error:
        raise DataError(str(error)) from None


def _names(names: object) -> str:
    return listed(names) if isinstance(names, list) else quoted(names)
