"""Rows that the store holds are read under any of a table's keys, and never scored into another value."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.corpus.shards import rows_digest
from pytest_kdmem.scoring.copies import Parts
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.stored_parts import SHARDS_PER_PIECE, StoredParts
from pytest_kdmem.scoring.table import SCHEMA
from tests.scoring.stored_files import SHARD, table

KEYS = (("teacher-old-a", "teacher-new-a"), ("baseline-new-a",))


@pytest.fixture
def stored(tmp_path: Path) -> StoredParts:
    return StoredParts(ScoreStore(tmp_path), KEYS, (SCHEMA, SCHEMA))


def margins(parts: Parts | None) -> list[float] | None:
    """The margin of the first row in each table."""
    return None if parts is None else [part["margin"][0].as_py() for part in parts]


def test_a_shard_is_stored_only_if_every_table_holds_it(stored: StoredParts) -> None:
    assert stored.read(SHARD) is None
    stored.store.write_shard("teacher-new-a", SHARD, table(margin=0.5))
    assert stored.read(SHARD) is None
    stored.store.write_shard("baseline-new-a", SHARD, table(margin=-0.5))
    assert margins(stored.read(SHARD)) == [0.5, -0.5]


def test_rows_are_read_under_the_first_of_their_keys_that_holds_them(stored: StoredParts) -> None:
    stored.store.write_shard("baseline-new-a", SHARD, table())
    stored.store.write_shard("teacher-new-a", SHARD, table(margin=0.25))
    assert margins(stored.read(SHARD)) == [0.25, 0.5]
    stored.store.write_shard("teacher-old-a", SHARD, table(margin=0.75))
    assert margins(stored.read(SHARD)) == [0.75, 0.5]


def test_rows_are_written_under_the_last_of_their_keys(stored: StoredParts) -> None:
    kept = stored.write(SHARD, (table(margin=0.5), table(margin=-0.5)))
    assert margins(kept) == margins(stored.read(SHARD)) == [0.5, -0.5]
    assert {entry.key for entry in stored.store.shards()} == {"teacher-new-a", "baseline-new-a"}


@pytest.mark.parametrize("key", KEYS[0])
def test_rows_that_another_run_has_stored_meanwhile_stay_and_are_used(stored: StoredParts, key: str) -> None:
    stored.store.write_shard(key, SHARD, table(margin=0.25))
    kept = stored.write(SHARD, (table(margin=0.5), table(margin=-0.5)))
    assert margins(kept) == margins(stored.read(SHARD)) == [0.25, -0.5]
    assert {entry.key for entry in stored.store.shards()} == {key, "baseline-new-a"}


def test_a_table_alone_is_written_and_returned(tmp_path: Path) -> None:
    stored = StoredParts(ScoreStore(tmp_path), KEYS[:1], (SCHEMA,))
    assert margins(stored.write(SHARD, (table(margin=0.5),))) == [0.5]
    assert margins(stored.read(SHARD)) == [0.5]


def test_a_table_too_few_is_refused(stored: StoredParts) -> None:
    with pytest.raises(ValueError, match="shorter"):
        stored.write(SHARD, (table(),))


def test_the_rows_of_a_run_are_read_in_order_or_not_at_all(stored: StoredParts) -> None:
    shards = {rows_digest(rows): rows for rows in map(table, (3, 1, 2))}
    for shard, rows in shards.items():
        assert stored.read_all([*shards]) is None
        stored.write(shard, (rows, rows))
    in_order = [*reversed(shards)]
    tables = stored.read_all(in_order)
    assert tables is not None
    ids = [[piece["example_id"].to_pylist() for piece in pieces] for pieces in tables]
    assert ids == [[[0, 1, 0, 0, 1, 2]]] * 2
    assert stored.read_all([*in_order, "0" * 32]) is None


def test_the_rows_of_many_shards_are_joined_in_few_pieces(stored: StoredParts) -> None:
    shards = [f"{number:032x}" for number in range(SHARDS_PER_PIECE + 2)]
    parts = {shard: (table(1, margin=number), table(1, margin=-number)) for number, shard in enumerate(shards)}
    in_order = [*reversed(shards)]
    first, second = stored.join(parts, in_order)
    assert parts == {}
    margins = [[margin for piece in pieces for margin in piece["margin"].to_pylist()] for pieces in (first, second)]
    assert margins == [[*reversed(range(len(shards)))], [-number for number in reversed(range(len(shards)))]]
    for pieces in (first, second):
        assert [len(piece) for piece in pieces] == [SHARDS_PER_PIECE, 2]
        assert all(piece["margin"].num_chunks == 1 for piece in pieces)


@pytest.mark.parametrize("shards", [2, SHARDS_PER_PIECE + 1])
def test_a_shard_that_lacks_a_table_is_refused(stored: StoredParts, shards: int) -> None:
    names = [f"{number:032x}" for number in range(shards)]
    parts: dict[str, Parts] = {name: (table(1), table(1)) for name in names} | {names[-1]: (table(1),)}
    with pytest.raises(ValueError, match="shorter"):
        stored.join(parts, names)
