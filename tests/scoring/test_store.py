"""The store as a whole: what it counts, prunes and locks, and what a failed write leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from pytest_kdmem.corpus.shards import CorpusRecord, rows_digest
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.store import ScoreStore
from tests.scoring.stored_files import (
    CONFIRMATION,
    KEY,
    RECORD,
    SHARD,
    files_below,
    store_message,
    table,
)


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "cache")


def write_all(store: ScoreStore, key: str = "k") -> None:
    """Write a shard, a record and a confirmation."""
    store.write_shard(KEY, SHARD, table())
    store.write_record(key, RECORD)
    store.write_entry("confirmations", key, CONFIRMATION)


def test_what_was_written_is_read(store: ScoreStore) -> None:
    write_all(store)
    shard = store.read_shard(KEY, SHARD)
    assert shard is not None
    assert shard.equals(table())
    assert store.read_record("k") == RECORD
    assert list(store.records()) == [("k", RECORD)]
    assert store.read_entry("confirmations", "k") == CONFIRMATION
    assert [(key, shard) for key, shard, _ in store.shards()] == [(KEY, SHARD)]


def test_what_was_never_written_is_absent(store: ScoreStore) -> None:
    assert store.read_shard(KEY, SHARD) is None
    assert store.read_record("k") is None
    assert store.read_entry("confirmations", "k") is None
    assert list(store.shards()) == []
    assert not store.root.exists()


@pytest.mark.parametrize("content", [{}, {"examples": 5}, {"checked": 5}, {**RECORD.to_json(), "shards": 3}], ids=repr)
def test_an_entry_that_is_no_record_is_absent_among_the_records(store: ScoreStore, content: dict[str, Any]) -> None:
    store.write_record("a", RECORD)
    store.write_entry("corpora", "b", content)
    assert store.read_record("b") is None
    assert list(store.records()) == [("a", RECORD)]


def test_a_record_that_names_another_source_is_absent(store: ScoreStore) -> None:
    store.write_record("a", replace(RECORD, read_as="b"))
    store.write_record("b", replace(RECORD, read_as="b"))
    assert store.read_record("a") is None
    assert list(store.records()) == [("b", replace(RECORD, read_as="b"))]


def test_a_record_that_names_no_source_is_read_only_where_it_may_be(store: ScoreStore) -> None:
    """An earlier version wrote it, without that entry."""
    content = {name: value for name, value in RECORD.to_json().items() if name != "read_as"}
    store.write_entry("corpora", "k", content)
    assert store.read_record("k") == RECORD
    assert ScoreStore(store.root, reads_unbound=False).read_record("k") is None


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_what_was_there_and_says_so(
    store: ScoreStore, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room cannot be made here, so the system's own functions fail in its place."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store.write_record("k", RECORD)
    before = files_below(store.root)
    monkeypatch.setattr(broken, full)
    with pytest.raises(StoreError) as caught:
        store.write_shard(KEY, SHARD, table())
    assert "No space left" in store_message(caught, store.root)
    with pytest.raises(StoreError):
        store.write_record("k", CorpusRecord(9, 0, True, ("cc",)))
    monkeypatch.undo()
    assert files_below(store.root) == before
    assert store.read_record("k") == RECORD


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    store = ScoreStore(tmp_path / "taken")
    with pytest.raises(StoreError) as caught, store.lock("k"):
        pass
    store_message(caught, store.root)
    with pytest.raises(StoreError) as caught:
        store.write_shard(KEY, SHARD, table())
    store_message(caught, store.root)


def test_what_a_killed_process_left_unfinished_is_neither_read_nor_counted(store: ScoreStore) -> None:
    write_all(store)
    for path in files_below(store.root):
        path.rename(path.with_name(f".{path.name}.4242.partial"))
    store = ScoreStore(store.root)
    assert store.read_shard(KEY, SHARD) is None
    assert store.read_record("k") is None
    assert store.read_entry("confirmations", "k") is None
    assert list(store.shards()) == []
    assert (store.info().shards, store.info().corpora, store.info().confirmations) == (0, 0, 0)


def test_info_counts_shards_records_confirmations_and_bytes(store: ScoreStore) -> None:
    assert (store.info().shards, store.info().corpora, store.info().size_bytes) == (0, 0, 0)
    write_all(store)
    store.write_shard(KEY, "bb", table())
    info = store.info()
    assert (info.root, info.shards, info.corpora, info.confirmations) == (store.root, 2, 1, 1)
    assert info.size_bytes == sum(path.stat().st_size for path in files_below(store.root))


def test_prune_removes_what_is_old_and_leaves_what_is_not(store: ScoreStore) -> None:
    foreign = store.root / "scores" / "results.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    old, new = table(2), table(3)
    store.write_shard(KEY, rows_digest(old), old)
    path = next(path for path in files_below(store.root) if path != foreign)
    os.utime(path, (0, 0))
    store.write_shard(KEY, rows_digest(new), new)
    assert store.prune(older_than_days=1) == 1
    assert store.read_shard(KEY, rows_digest(old)) is None
    assert store.read_shard(KEY, rows_digest(new)) is not None
    assert store.prune() == 1
    assert files_below(store.root) == [foreign], "what is not the store's stays"


def test_prune_removes_entries_of_every_kind_and_those_left_unfinished(store: ScoreStore) -> None:
    kinds = ("corpora", "confirmations", "near-duplicates", "predictors")
    for kind in kinds:
        store.write_entry(kind, "0" * 32, CONFIRMATION)
    for path in files_below(store.root):
        os.utime(path, (0, 0))
    store.write_entry("predictors", "1" * 32, CONFIRMATION)
    assert store.prune(older_than_days=1) == len(kinds)
    [new] = files_below(store.root)
    new.rename(new.with_name(f".{new.name}.4242.partial"))
    foreign = new.with_name("notes.json")
    foreign.write_text("{}")
    assert store.prune() == 1
    assert files_below(store.root) == [foreign]


def test_writers_of_one_process_do_not_take_each_other_s_file(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads, or two containers that share a cache: the second writes while the first one does."""
    sync = os.fsync

    def write_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        store.write_record("k", RECORD)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", write_meanwhile)
    store.write_record("k", RECORD)
    assert store.read_record("k") == RECORD


def test_a_lock_keeps_a_second_process_out_and_is_released(store: ScoreStore) -> None:
    with store.lock("k"):
        [path] = (store.root / "locks").iterdir()
        with pytest.raises(Timeout):
            FileLock(path, is_singleton=False).acquire(timeout=0)
    with FileLock(path).acquire(timeout=0):
        pass


def test_a_killed_process_leaves_no_lock_to_those_that_it_started(store: ScoreStore) -> None:
    """A worker that outlives the process it was forked from has inherited the open file of its lock."""
    script = f"""
import os, time
from pathlib import Path
from pytest_kdmem.scoring.store import ScoreStore

with ScoreStore(Path({str(store.root)!r})).lock("k"):
    if worker := os.fork():
        print(worker, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            process.kill()
            process.wait()
            with FileLock(store.root / "locks" / "k.lock").acquire(timeout=2):
                os.kill(worker, 0)  # it lives, and holds nothing
        finally:
            os.kill(worker, signal.SIGKILL)


def test_under_a_lock_what_another_process_has_written_is_read(store: ScoreStore) -> None:
    assert store.read_shard(KEY, SHARD) is None
    ScoreStore(store.root).write_shard(KEY, SHARD, table())
    with store.lock("k"):
        assert store.read_shard(KEY, SHARD) is not None


@pytest.mark.parametrize("before", [True, False])
def test_a_file_that_is_removed_while_it_is_looked_at_is_no_error(
    store: ScoreStore, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process prunes just before or just after the file's status is read."""
    for key in ("0" * 32, "1" * 32):
        store.write_entry("confirmations", key, CONFIRMATION)
    stat = Path.stat

    def stat_while_pruned(path: Path, **settings: Any) -> os.stat_result:
        if not path.name.startswith("0"):
            return stat(path, **settings)
        if before:
            path.unlink(missing_ok=True)
        status = stat(path, **settings)
        path.unlink()
        return status

    monkeypatch.setattr(Path, "stat", stat_while_pruned)
    counted = 1 if before else 2
    assert store.info().confirmations == counted
    store.write_entry("confirmations", "0" * 32, CONFIRMATION)
    assert store.prune() == counted


def test_entries_are_written_in_the_format_of_earlier_versions(store: ScoreStore) -> None:
    store.write_record("k", RECORD)
    [path] = files_below(store.root)
    assert path.relative_to(store.root) == Path("corpora/k.json")
    content = json.loads(path.read_text())
    assert content == {**RECORD.to_json(), "key": "k", "format": 1, "checksum": content["checksum"]}
    assert len(content["checksum"]) == 16
