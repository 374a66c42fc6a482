"""How the files of a score store are written and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pytest_kdmem.base.files import write_bytes
from pytest_kdmem.errors import StoreError


def checksum(content: bytes) -> str:
    """The checksum that a stored file has in its name or its content."""
    return hashlib.sha256(content).hexdigest()[:16]


def write_file(root: Path, path: Path, content: bytes) -> None:
    """Write a file of a store whole or not at all, so that no reader sees a part of it, and for its owner alone.

    Args:
        root: Folder of the store.
        path: The file to write.
        content: Its bytes.

    Raises:
        StoreError: The folder cannot be written.
    """
    write_bytes(content, path, lambda reason: unusable_folder(root, reason), private=True)


def unusable_folder(root: Path, reason: str | None) -> StoreError:
    """The error for a store whose folder cannot be read or written, for the operating system's reason."""
    return StoreError(
        f"A folder to read and write was expected for scores at {root} ({reason}); name another with --kdmem-cache-dir."
    )
