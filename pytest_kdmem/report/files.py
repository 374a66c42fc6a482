"""Reports and tables → files: written under another name and renamed, so that a file is whole or absent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.errors import DataError
from pytest_kdmem.report.record import Report


def write_report(report: Report, path: Path) -> None:
    """Write a report whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    write_json(report.to_json(), path)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write what is strict JSON, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A name that is no UTF-8 holds lone surrogates, which a backslash spells as JSON does.
    _write(path, lambda partial: partial.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_table(rows: pa.Table, path: Path) -> None:
    """Write a score table as parquet, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    _write(path, lambda partial: pq.write_table(rows, partial))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DataError(f"A file was to be written at {path}, which is not possible ({error.strerror}).") from error
