"""A process says that it waits for a lock before it does, and only then."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from pytest_kdmem.base.locks import acquire


def test_a_free_lock_is_held_at_once(tmp_path: Path) -> None:
    waits: list[str] = []
    lock = FileLock(tmp_path / "lock")
    acquire(lock, lambda: waits.append("waits"))
    assert lock.is_locked
    assert waits == []


def test_a_wait_is_said_before_it_begins_and_ends_when_the_lock_is_free(tmp_path: Path) -> None:
    other, lock = FileLock(tmp_path / "lock", is_singleton=False), FileLock(tmp_path / "lock", is_singleton=False)
    other.acquire()
    waits: list[str] = []

    def said() -> None:
        waits.append("waits")
        other.release()

    acquire(lock, said)
    assert lock.is_locked
    assert waits == ["waits"]
