"""Looks at paths that users name, whatever these hold: a path that no system can have is one where nothing is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

LONGEST_PART, LONGEST_PATH = 255, 4096  # bytes, as on Linux


def local_path(source: str) -> Path:
    """The path that a source names on this machine; ``~`` stays where it names no user."""
    return Path(os.path.expanduser(source))  # noqa: PTH111 - pathlib raises for a user that there is not


def exists(path: Path) -> bool:
    """Whether anything is there that this process may look at; pathlib raises for a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path) -> bool:
    """Whether a regular file is there, and neither a folder nor a pipe or device, reading which may never end."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)  # noqa: PTH112


def can_be_path(text: str) -> bool:
    """Whether a text can name a file: no line break or other control character, and no longer than names can be."""
    try:
        parts = [os.fsencode(part) for part in text.split("/")]
    except UnicodeError:
        return False
    return (
        bool(text)
        and all(len(part) <= LONGEST_PART for part in parts)
        and len(os.fsencode(text)) <= LONGEST_PATH
        and not any(character < " " or character == "\x7f" for character in text)
    )


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8; a pipe, on which reading would wait for ever, is none.

    Raises:
        OSError, UnicodeDecodeError: There is no such file, or it cannot be read.
    """
    if exists(path) and not is_file(path):
        raise OSError(errno.EINVAL, "no regular file")
    return path.read_text(encoding="utf-8")
