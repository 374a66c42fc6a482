"""A value is computed from files once, and again as soon as one of them changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kdmem.base import file_memory
from pytest_kdmem.base.file_memory import FileMemory, state_of


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as written long ago, whatever its time stamps."""
    monkeypatch.setattr(file_memory, "CLOCK_TICK_NS", -(10**12))
    (tmp_path / "a.txt").write_text("first")
    return tmp_path / "a.txt"


@pytest.fixture
def read() -> Callable[..., str]:
    """Reads files through a memory; `read.count` is how often it really did."""
    memory: FileMemory[str] = FileMemory()
    counts: list[int] = []

    def read(*paths: Path) -> str:
        def compute() -> str:
            counts.append(1)
            return "".join(path.read_text() for path in paths)

        text = memory.get(paths, compute)
        read.count = len(counts)  # type: ignore[attr-defined]
        return text

    return read


def test_a_file_that_stays_the_same_is_read_once(path: Path, read: Callable[..., str]) -> None:
    assert [read(path) for _ in range(3)] == ["first"] * 3
    assert read.count == 1


def replace(path: Path) -> None:
    path.with_name("b").write_text("other")
    path.with_name("b").replace(path)


def rewrite_with_the_same_size_and_time(path: Path) -> None:
    stamp = path.stat()
    path.write_text("other")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@pytest.mark.parametrize("change", [replace, rewrite_with_the_same_size_and_time])
def test_a_file_that_changed_is_read_again(
    path: Path, read: Callable[..., str], change: Callable[[Path], None]
) -> None:
    before = state_of(path)
    assert read(path) == "first"
    while state_of(path) == before:  # the clock of time stamps may not have ticked yet
        change(path)
    assert [read(path), read(path)] == ["other", "other"]
    assert read.count == 2


def test_every_file_counts(path: Path, read: Callable[..., str]) -> None:
    second = path.with_name("second")
    second.write_text("+")
    assert [read(path, second), read(path), read(second, path)] == ["first+", "first", "+first"]
    replace(second)
    assert [read(path, second), read(path)] == ["firstother", "first"]
    assert read.count == 4


def test_a_file_that_was_just_written_is_not_relied_upon(tmp_path: Path, read: Callable[..., str]) -> None:
    (tmp_path / "new").write_text("new")
    assert [read(tmp_path / "new"), read(tmp_path / "new")] == ["new", "new"]
    assert read.count == 2


def test_a_file_that_changes_while_it_is_read_is_not_relied_upon(path: Path) -> None:
    memory: FileMemory[str] = FileMemory()

    def compute() -> str:
        text = path.read_text()
        path.write_text(text + "!")
        return text

    assert [memory.get([path], compute), memory.get([path], compute)] == ["first", "first!"]


def test_an_error_is_raised_and_not_kept(path: Path, read: Callable[..., str]) -> None:
    memory: FileMemory[int] = FileMemory()
    for _ in range(2):
        with pytest.raises(ValueError, match="first"):
            memory.get([path], lambda: int(path.read_text()))
    with pytest.raises(FileNotFoundError):
        read(path.with_name("nowhere"))
