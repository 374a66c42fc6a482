"""Locks that processes wait for, which say so before they wait."""

from __future__ import annotations

from collections.abc import Callable

from filelock import FileLock, Timeout


def acquire(lock: FileLock, on_wait: Callable[[], object] | None = None) -> None:
    """Acquire a lock, however long another process holds it.

    Args:
        lock: The lock.
        on_wait: Called before this process waits; not called if the lock is free.

    Raises:
        OSError: The file of the lock cannot be written.
    """
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if on_wait is not None:
            on_wait()
        lock.acquire()
