"""Remembers, within one process, what was computed from files, for as long as these files stay the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")
# A file that changes twice within this time may keep its time stamps, so results of files that young are not kept.
CLOCK_TICK_NS = 1_000_000_000


class FileState(NamedTuple):
    """What the file system says of a file; any write to the file changes it."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class FileMemory(Generic[Value]):
    """Values by the files that they were computed from."""

    def __init__(self) -> None:
        self._values: dict[tuple[Path, ...], tuple[list[FileState], Value]] = {}

    def get(self, files: Sequence[Path], compute: Callable[[], Value]) -> Value:
        """Return the value of these files, which is computed only if a file changed since it was computed last.

        Args:
            files: All files that the value depends on.
            compute: Computes the value from the files.

        Raises:
            OSError: A file cannot be opened.
        """
        key, now = tuple(files), time.time_ns()
        states = [state_of(file) for file in files]
        if key in self._values and self._values[key][0] == states:
            return self._values[key][1]
        value = compute()
        latest = max((max(state.modified_ns, state.changed_ns) for state in states), default=now)
        if latest < now - CLOCK_TICK_NS and states == [state_of(file) for file in files]:
            self._values[key] = (states, value)
        else:
            self._values.pop(key, None)
        return value


def state_of(file: Path) -> FileState:
    """The present state of a file. It is opened, because network file systems check for changes when a file is opened.

    Raises:
        OSError: The file cannot be opened.
    """
    with file.open("rb") as content:
        status = os.fstat(content.fileno())
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
