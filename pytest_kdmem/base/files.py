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


def write_text(text: str, path: Path) -> None:
    """Write text as UTF-8, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    # A name that is no UTF-8 holds lone surrogates, which a backslash spells as JSON does.
    _write(path, lambda partial: partial.write_bytes(text.encode("utf-8", "backslashreplace")))


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write what is strict JSON, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    write_text(laid_out(content) + "\n", path)


def laid_out(content: Any, indent: str = "") -> str:
    """Strict JSON that people read and diff: objects over lines, and a list of plain values on one."""
    deeper = indent + "  "
    if isinstance(content, Mapping) and content:
        lines = [f"{deeper}{_plain(str(key))}: {laid_out(value, deeper)}" for key, value in content.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(content, list) and any(isinstance(value, list | Mapping) for value in content):
        return "[\n" + ",\n".join(deeper + laid_out(value, deeper) for value in content) + f"\n{indent}]"
    return _plain(content)


def _plain(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


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
