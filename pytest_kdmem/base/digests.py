"""Digests of values and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pytest_kdmem.base.file_memory import FileMemory

_DIGESTS: FileMemory[str] = FileMemory()


def digest_of(value: Any) -> str:
    """Hex digest (128 bits) of a JSON value; it does not depend on the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, which are read again only if the file changed.

    Raises:
        OSError: The file cannot be read.
    """
    return _DIGESTS.get([path], lambda: _read_digest(path))


def _read_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
