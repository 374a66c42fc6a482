"""How a source of each format is copied with canaries between its rows, in memory that does not grow with its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pytest_kdmem.base.paths import is_file, is_folder
from pytest_kdmem.canaries.files import (
    Additions,
    WriteRow,
    copy_with_arrow_rows,
    copy_with_json_rows,
    copy_with_parquet_rows,
    copy_with_saved_rows,
    copy_with_texts,
    first_rows,
    lines_of,
    number_of_arrow_rows,
)
from pytest_kdmem.canaries.rows import row_writer
from pytest_kdmem.canaries.token_files import (
    copy_with_array_rows,
    copy_with_sequences,
    number_of_array_rows,
    number_of_sequences,
    open_stream,
)
from pytest_kdmem.corpus.arrow_files import SPLITS, STATE, saved_files
from pytest_kdmem.corpus.megatron import index_path
from pytest_kdmem.specs.declared import TrainingSet

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".parquet", ".arrow", ".npy", ".bin")
# The ending of a folder that `datasets` saved.
FOLDER = ""


@dataclass(frozen=True)
class Copier:
    """How one source is copied.

    Attributes:
        places: Number of its rows; canaries stand before one of them, or behind the last.
        write: Writes a copy to a path, with the canaries by their place.
    """

    places: int
    write: Callable[[Path, Additions], None]


def ending_of(source: Path) -> str | None:
    """The ending of a source into which canaries can be put, `FOLDER` for a saved folder; None if they cannot."""
    if is_folder(source):
        return FOLDER if any(is_file(source / name) for name in (SPLITS, STATE)) else None
    return next((ending for ending in ENDINGS if source.name.endswith(ending)), None) if is_file(source) else None


def copier_of(training_set: TrainingSet, source: Path, eos_id: int | None, window: int) -> Copier:
    """Return how a source is copied.

    Args:
        training_set: The training set as training will read it.
        source: A file or folder for which `ending_of` gives an ending.
        eos_id: EOS of the models' tokenizer; None if it names none.
        window: Tokens of a window.

    Raises:
        DataError, SpecError: It is not what its ending says.
        OSError, ValueError, pyarrow.ArrowException: It cannot be read.
    """
    match ending_of(source):
        case ".npy":
            return Copier(
                number_of_array_rows(source), lambda target, added: copy_with_array_rows(source, target, added)
            )
        case ".txt":
            return Copier(_number_of_lines(source), lambda target, added: copy_with_texts(source, target, added))
        case ".bin" if is_file(index_path(source)):
            return Copier(number_of_sequences(source), lambda target, added: copy_with_sequences(source, target, added))
        case ".bin":
            stream = open_stream(source, training_set, eos_id, window)
            return Copier(stream.places, stream.copy)
    split = training_set.split
    write: WriteRow = row_writer(training_set, first_rows(source, split), str(source)).write
    match ending_of(source):
        case ".parquet":
            rows = int(pq.read_metadata(source).num_rows)
            return Copier(rows, lambda target, added: copy_with_parquet_rows(source, target, added, write))
        case ".arrow":
            rows = number_of_arrow_rows([source])
            return Copier(rows, lambda target, added: copy_with_arrow_rows(source, target, added, write))
        case "":
            rows = number_of_arrow_rows(saved_files(source, split))
            return Copier(rows, lambda target, added: copy_with_saved_rows(source, target, added, write, split))
    rows = _number_of_lines(source)
    return Copier(rows, lambda target, added: copy_with_json_rows(source, target, added, write))


def _number_of_lines(source: Path) -> int:
    return sum(1 for _ in lines_of(source))
