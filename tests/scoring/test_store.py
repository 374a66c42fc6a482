"""What the store gives back is what was written, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusRecord, Shard, rows_digest
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.job import too_short_rows
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA

RECORD = CorpusRecord(examples=5, too_short=2, exhaustive=False, shards=("aa", "bb"))
CONFIRMED = {"checked": 5, "witnesses": [{"engine": "transformers", "margin": 1e-05}], "greatest_difference": None}
KEY = "model-protocol-numerics"


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "cache")


def table(rows: int = 3, margin: float = 0.5) -> pa.Table:
    entries = [{"example_id": at, "digest": f"{at:032x}", "status": "scored", "margin": margin} for at in range(rows)]
    return pa.Table.from_pylist(entries, SCHEMA.with_metadata({"tolerance": "0.001"}))


SHARD = rows_digest(table())


def files(store: ScoreStore) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def refusal(caught: pytest.ExceptionInfo[StoreError], store: ScoreStore) -> str:
    sentence = str(caught.value)
    assert str(store.root) in sentence
    assert "--kdmem-cache-dir" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_shard_comes_back_as_it_was_written_with_its_metadata(store: ScoreStore) -> None:
    store.write_shard(KEY, SHARD, table())
    back = store.read_shard(KEY, SHARD)
    assert back is not None
    assert back.equals(table(), check_metadata=True)


def test_a_record_comes_back_as_it_was_written(store: ScoreStore) -> None:
    store.write_record("k", RECORD)
    assert store.read_record("k") == RECORD


def test_a_confirmation_comes_back_as_it_was_written(store: ScoreStore) -> None:
    store.write_confirmation("k", CONFIRMED)
    assert store.read_confirmation("k") == CONFIRMED


def test_a_confirmation_that_was_altered_or_cut_short_is_absent(store: ScoreStore) -> None:
    store.write_confirmation("k", CONFIRMED)
    (path,) = files(store)
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        assert store.read_confirmation("k") is None
    for changed in ({"checked": 6}, {"format": 2}, {"witnesses": []}):
        path.write_text(json.dumps({**json.loads(whole), **changed}))
        assert store.read_confirmation("k") is None
    path.write_bytes(whole)
    assert store.read_confirmation("k") == CONFIRMED


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "{}", '{"format": 1}', "\x00", "[" * 100_000])
def test_a_confirmation_that_is_none_is_absent(store: ScoreStore, damage: str) -> None:
    store.write_confirmation("k", CONFIRMED)
    files(store)[0].write_text(damage)
    assert store.read_confirmation("k") is None


def test_a_record_and_a_confirmation_of_one_key_do_not_meet(store: ScoreStore) -> None:
    store.write_record("k", RECORD)
    assert store.read_confirmation("k") is None
    store.write_confirmation("k", CONFIRMED)
    assert store.read_record("k") == RECORD


def test_what_was_never_written_is_absent(store: ScoreStore) -> None:
    assert store.read_shard(KEY, SHARD) is None
    assert store.read_record("k") is None
    assert store.read_confirmation("k") is None
    assert not store.root.exists()


def test_shards_of_other_models_and_other_ids_are_not_taken(store: ScoreStore) -> None:
    store.write_shard(KEY, SHARD, table())
    assert store.read_shard("other", SHARD) is None
    assert store.read_shard(KEY, SHARD[:4]) is None
    assert store.read_shard(KEY, SHARD + "0") is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_one_flipped_bit_makes_a_shard_absent_and_removes_it(store: ScoreStore, share: float) -> None:
    store.write_shard(KEY, SHARD, table())
    (path,) = files(store)
    flip(path, int(share * path.stat().st_size))
    assert store.read_shard(KEY, SHARD) is None
    assert files(store) == []
    store.write_shard(KEY, SHARD, table())
    assert store.read_shard(KEY, SHARD) is not None


def test_a_whole_copy_is_found_beside_a_damaged_one(store: ScoreStore) -> None:
    store.write_shard(KEY, SHARD, table(margin=0.5))
    store.write_shard(KEY, SHARD, table(margin=0.7))
    flip(files(store)[0], 40)
    assert store.read_shard(KEY, SHARD) is not None
    assert len(files(store)) == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "{}", '{"format": 1}', "\x00"])
def test_a_record_that_is_no_record_is_absent(store: ScoreStore, damage: str) -> None:
    store.write_record("k", RECORD)
    files(store)[0].write_text(damage)
    assert store.read_record("k") is None


@pytest.mark.parametrize(
    "changed", [{"examples": 4}, {"exhaustive": True}, {"shards": ["aa"]}, {"format": 2}], ids=repr
)
def test_a_record_that_was_altered_is_absent(store: ScoreStore, changed: dict[str, Any]) -> None:
    store.write_record("k", RECORD)
    (path,) = files(store)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert store.read_record("k") is None


def test_every_record_cut_short_is_absent(store: ScoreStore) -> None:
    store.write_record("k", RECORD)
    (path,) = files(store)
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        assert store.read_record("k") is None


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_nothing_and_says_so(
    store: ScoreStore, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, full)
    with pytest.raises(StoreError) as caught:
        store.write_shard(KEY, SHARD, table())
    assert "No space left" in refusal(caught, store)
    with pytest.raises(StoreError):
        store.write_record("k", RECORD)
    monkeypatch.undo()
    assert files(store) == []


def test_a_write_that_fails_leaves_what_was_there(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_record("k", RECORD)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StoreError):
        store.write_record("k", CorpusRecord(9, 0, True, ("cc",)))
    assert store.read_record("k") == RECORD


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    store = ScoreStore(tmp_path / "taken")
    with pytest.raises(StoreError) as caught, store.lock("k"):
        pass
    refusal(caught, store)
    with pytest.raises(StoreError) as caught:
        store.write_shard(KEY, SHARD, table())
    refusal(caught, store)


def test_a_shard_that_cannot_be_read_is_an_error_of_the_store(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_shard(KEY, SHARD, table())

    def unreadable(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    with pytest.raises(StoreError):
        store.read_shard(KEY, SHARD)


def test_a_shard_pruned_while_it_is_looked_for_is_absent(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_shard(KEY, SHARD, table())
    read = Path.read_bytes

    def pruned_before(path: Path) -> bytes:
        path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", pruned_before)
    assert store.read_shard(KEY, SHARD) is None


def test_what_a_killed_process_left_is_neither_read_nor_counted(store: ScoreStore) -> None:
    store.write_shard(KEY, SHARD, table())
    store.write_record("k", RECORD)
    store.write_confirmation("k", CONFIRMED)
    for path in files(store):
        path.rename(path.with_name(f".{path.name}.4242.partial"))
    assert store.read_shard(KEY, SHARD) is None
    assert store.read_record("k") is None
    assert store.read_confirmation("k") is None
    assert (store.info().shards, store.info().corpora, store.info().confirmations) == (0, 0, 0)


def test_info_counts_shards_records_and_bytes(store: ScoreStore) -> None:
    assert (store.info().shards, store.info().corpora, store.info().size_bytes) == (0, 0, 0)
    for shard in ("aa", "bb"):
        store.write_shard(KEY, shard, table())
    store.write_record("k", RECORD)
    store.write_confirmation("k", CONFIRMED)
    info = store.info()
    assert (info.root, info.shards, info.corpora, info.confirmations) == (store.root, 2, 1, 1)
    assert info.size_bytes == sum(path.stat().st_size for path in files(store))


def test_prune_removes_what_is_old_and_leaves_what_is_not(store: ScoreStore) -> None:
    stranger = store.root / "scores" / "results.csv"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    short, long = table(2), table(3)
    store.write_shard(KEY, rows_digest(short), short)
    old = next(path for path in files(store) if path != stranger)
    os.utime(old, (0, 0))
    store.write_shard(KEY, rows_digest(long), long)
    assert store.prune(older_than_days=1) == 1
    assert store.read_shard(KEY, rows_digest(short)) is None
    assert store.read_shard(KEY, rows_digest(long)) is not None
    assert store.prune() == 1
    assert files(store) == [stranger], "what is not the store's stays"


def test_prune_removes_confirmations_and_what_was_left_of_them(store: ScoreStore) -> None:
    store.write_confirmation("0" * 32, CONFIRMED)
    store.write_confirmation("1" * 32, CONFIRMED)
    old, new = files(store)
    os.utime(old, (0, 0))
    assert store.prune(older_than_days=1) == 1
    new.rename(new.with_name(f".{new.name}.4242.partial"))
    stranger = new.with_name("notes.json")
    stranger.write_text("{}")
    assert store.prune() == 1
    assert files(store) == [stranger]


def test_processes_that_write_the_same_shard_at_once_leave_one_whole_file(store: ScoreStore) -> None:
    shard = rows_digest(pa.table({"example_id": list(range(5000)), "digest": ["d"] * 5000}))
    code = (
        "import sys; from pathlib import Path; import pyarrow as pa; from pytest_kdmem.scoring.store import ScoreStore;"
        "store, table = ScoreStore(Path(sys.argv[1])),"
        " pa.table({'example_id': list(range(5000)), 'digest': ['d'] * 5000});"
        "sys.stdin.readline();"
        f"[store.write_shard({KEY!r}, {shard!r}, table) for _ in range(20)]"
    )
    command = [sys.executable, "-c", code, str(store.root)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    errors = [writer.communicate()[1] for writer in writers]
    assert errors == [b"", b""]
    assert len(files(store)) == 1
    back = store.read_shard(KEY, shard)
    assert back is not None
    assert back.num_rows == 5000


def test_writers_of_the_same_process_id_do_not_take_each_others_file(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync  # two threads, or two containers that share a cache: the second writes amid the first

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        store.write_record("k", RECORD)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    store.write_record("k", RECORD)
    assert store.read_record("k") == RECORD


def test_a_lock_keeps_a_second_process_out_and_is_given_back(store: ScoreStore) -> None:
    from filelock import FileLock, Timeout

    with store.lock("k"):
        (path,) = (store.root / "locks").iterdir()
        with pytest.raises(Timeout):
            FileLock(path, is_singleton=False).acquire(timeout=0)
    with FileLock(path).acquire(timeout=0):
        pass


def test_rows_have_the_digest_of_their_shard() -> None:
    examples = tuple(Example(position, np.arange(position, position + 5, dtype=np.int32)) for position in (3, 4, 9))
    shard = Shard(examples)
    rows = too_short_rows(shard)
    assert rows_digest(rows) == shard.digest
    assert rows_digest(rows.slice(1)) == Shard(examples[1:]).digest != shard.digest


@pytest.mark.parametrize("good", [False, True])
def test_a_shard_under_the_name_of_another_is_absent(store: ScoreStore, good: bool) -> None:
    """Its checksum holds, as that is of its bytes alone."""
    other = table(2)
    store.write_shard(KEY, rows_digest(other), other)
    (path,) = files(store)
    path.rename(path.with_name(path.name.replace(rows_digest(other), SHARD)))
    store = ScoreStore(store.root)
    if good:
        store.write_shard(KEY, SHARD, table())
    back = store.read_shard(KEY, SHARD)
    assert (back is not None and back.equals(table())) if good else back is None
    assert len(files(store)) == int(good)


def test_a_record_or_confirmation_under_the_name_of_another_is_absent(store: ScoreStore) -> None:
    store.write_record("k", RECORD)
    store.write_confirmation("k", CONFIRMED)
    for path in files(store):
        path.rename(path.with_name("other.json"))
    assert store.read_record("other") is None
    assert store.read_confirmation("other") is None
    assert list(store.records()) == []


@pytest.mark.parametrize("before", [True, False])
def test_what_goes_while_it_is_looked_at_is_no_error(
    store: ScoreStore, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("0" * 32, "1" * 32):
        store.write_confirmation(key, CONFIRMED)
    stat = Path.stat

    def pruned_meanwhile(path: Path, **how: Any) -> os.stat_result:
        if not path.name.startswith("0"):
            return stat(path, **how)
        if before:
            path.unlink(missing_ok=True)
        found = stat(path, **how)
        path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", pruned_meanwhile)
    counted = 1 if before else 2
    assert store.info().confirmations == counted
    store.write_confirmation("0" * 32, CONFIRMED)
    assert store.prune() == counted
