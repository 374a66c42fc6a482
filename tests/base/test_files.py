"""Files and folders are written whole or not at all, and are on the disk before they get their names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.files import (
    atomic_file,
    atomic_folder,
    json_lines,
    write_bytes,
    write_json,
    write_table,
    write_text,
)
from pytest_kdmem.errors import DataError, SpecError, StoreError
from pytest_kdmem.scoring.store import OWN_NAME


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Inodes of the files that were flushed to the disk, by the real call."""
    inodes: list[int] = []
    flush = os.fsync

    def record(descriptor: int) -> None:
        inodes.append(os.fstat(descriptor).st_ino)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return inodes


def test_a_file_gets_its_name_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert names_in(path.parent) == ["a.txt"]


def half_written(path: Path, error: BaseException) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise error


def half_filled(path: Path, error: BaseException) -> None:
    with atomic_folder(path) as temporary:
        (temporary / "model.safetensors").write_text("half")
        raise error


@pytest.mark.parametrize("write", [half_written, half_filled])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), DataError),
        (ValueError("not JSON"), ValueError),
        (StoreError("mine"), StoreError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_leaves_nothing(
    tmp_path: Path, write: Callable[[Path, BaseException], None], error: BaseException, raised: type[BaseException]
) -> None:
    with pytest.raises(raised, match="No space left" if raised is DataError else None):
        write(tmp_path / "a", error)
    assert names_in(tmp_path) == []


def test_a_failure_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    write_text("earlier", tmp_path / "a.txt")
    with pytest.raises(DataError, match="No space left"):
        half_written(tmp_path / "a.txt", OSError(28, "No space left on device"))
    assert (tmp_path / "a.txt").read_text() == "earlier"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, flushed: list[int]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        inode = temporary.stat().st_ino
        assert not flushed
    assert flushed == [inode] == [path.stat().st_ino]


def test_a_file_that_the_disk_did_not_take_does_not_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    for write in (lambda path: write_text("new", path), write_folder):
        with pytest.raises(DataError, match="Input/output error"):
            write(tmp_path / "a")
        assert names_in(tmp_path) == []


def write_folder(path: Path) -> None:
    with atomic_folder(path) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b.txt").write_text("b")
        (temporary / "a.txt").write_text("a")


def test_a_folder_gets_its_name_when_all_its_files_are_on_the_disk(tmp_path: Path, flushed: list[int]) -> None:
    path = tmp_path / "runs" / "student"
    write_folder(path)
    assert names_in(path) == ["a.txt", "b.txt", "inner"]
    assert sorted(flushed) == sorted(file.stat().st_ino for file in path.rglob("*.txt"))
    assert names_in(path.parent) == ["a.txt", "b.txt", "inner", "student"]


def test_an_empty_folder_is_replaced_and_a_filled_one_only_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "student"
    path.mkdir()
    write_folder(path)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="student"):
        write_folder(path)
    assert (path / "notes.txt").read_text() == "mine"
    assert names_in(tmp_path) == ["a.txt", "b.txt", "inner", "notes.txt", "student"]
    with atomic_folder(path, overwrite=True) as temporary:
        (temporary / "c.txt").write_text("c")
        assert (path / "notes.txt").exists()
    assert names_in(path) == ["c.txt"]


def in_the_callers_words(reason: str) -> SpecError:
    return SpecError(f"It cannot be written ({reason}).")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text("a", path, in_the_callers_words),
        lambda path: write_bytes(b"a", path, in_the_callers_words),
        lambda path: atomic_folder(path, in_the_callers_words).__enter__(),
    ],
    ids=["text", "bytes", "folder"],
)
def test_a_failure_is_raised_as_the_caller_words_it(tmp_path: Path, write: Callable[[Path], object]) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SpecError, match=r"^It cannot be written \(.+\)\.$"):
        write(tmp_path / "taken" / "a")
    assert names_in(tmp_path) == ["taken"]


@pytest.mark.parametrize("name", ["0" * 32 + "." + "a" * 16 + ".parquet", "0" * 32 + ".json"])
def test_the_store_knows_an_abandoned_temporary_file_as_its_own(tmp_path: Path, name: str) -> None:
    with atomic_file(tmp_path / name) as temporary:
        temporary.write_text("")
        assert OWN_NAME.match(temporary.name)


def test_two_writers_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("first")
        write_text("second", path)
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_a_file_name_that_is_not_utf_8_is_escaped_as_json_does(tmp_path: Path) -> None:
    write_json({"source": "bad\udcff.jsonl"}, tmp_path / "a.json")
    content = (tmp_path / "a.json").read_bytes()
    assert b"\\udcff" in content
    assert json.loads(content) == {"source": "bad\udcff.jsonl"}


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
CONTENT = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(CONTENT)
def test_json_laid_out_for_people_reads_as_the_same_value(content: object) -> None:
    assert json.loads("".join(json_lines(content))) == content


def test_json_is_laid_out_with_a_line_for_each_key_and_one_for_plain_values() -> None:
    assert "".join(json_lines({"a": [1, 2], "b": {"c": "ü"}, "d": [[1], {}], "e": {}})) == (
        '{\n  "a": [1, 2],\n  "b": {\n    "c": "ü"\n  },\n  "d": [\n    [1],\n    {}\n  ],\n  "e": {}\n}\n'
    )


def test_a_number_that_json_has_no_word_for_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": float("nan")}, tmp_path / "a.json")
    assert names_in(tmp_path) == []


def test_a_table_is_written_as_parquet(tmp_path: Path) -> None:
    rows = pa.table({"example_id": [1, 2]})
    write_table(rows, tmp_path / "scores.parquet")
    assert pq.read_table(tmp_path / "scores.parquet").equals(rows)
    with pytest.raises(DataError, match=r"scores\.parquet"):
        write_table(rows, tmp_path / "scores.parquet" / "b.parquet")
    assert names_in(tmp_path) == ["scores.parquet"]


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """Files are readable by everyone unless a program says otherwise."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("usual_umask")
def test_a_private_file_is_for_its_owner_alone_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "f"
    with atomic_file(path, private=True) as temporary:
        assert permissions(temporary) == 0o600
        temporary.write_bytes(b"x")
    assert permissions(path) == 0o600
    assert [permissions(folder) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


@pytest.mark.usefixtures("usual_umask")
def test_a_private_file_takes_the_place_of_one_that_everyone_could_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    write_text("new", tmp_path / "f", private=True)
    assert permissions(tmp_path / "f") == 0o600


@pytest.mark.usefixtures("usual_umask")
def test_other_files_follow_the_umask(tmp_path: Path) -> None:
    write_text("x", tmp_path / "a" / "f")
    assert permissions(tmp_path / "a" / "f") == 0o644
    assert permissions(tmp_path / "a") == 0o755
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "weights").write_text("x")
        (temporary / "weights").chmod(0o600)  # as the library `safetensors` does
    assert permissions(tmp_path / "folder") == 0o755
    assert permissions(tmp_path / "folder" / "weights") == 0o644
