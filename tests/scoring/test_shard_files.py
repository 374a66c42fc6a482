"""A shard is read as it was written, or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.shards import rows_digest
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.shard_files import KEY as KEY_OF_TABLE
from pytest_kdmem.scoring.shard_files import ShardFiles, key_of, read_rows
from pytest_kdmem.scoring.store_files import checksum
from tests.scoring.stored_files import KEY, SHARD, files_below, flip_bit, table


@pytest.fixture
def shards(tmp_path: Path) -> ShardFiles:
    return ShardFiles(tmp_path, tmp_path / "scores")


def test_a_shard_is_read_as_it_was_written_with_its_metadata(shards: ShardFiles) -> None:
    shards.write(KEY, SHARD, table())
    stored = shards.read(KEY, SHARD)
    assert stored is not None
    assert stored.equals(table())
    assert stored.schema.metadata == {b"tolerance": b"0.001", KEY_OF_TABLE: KEY.encode()}


def test_rows_of_another_key_are_absent_and_stay(shards: ShardFiles, tmp_path: Path) -> None:
    """However they came into the folder: by a copy of the file, or by a program that read and wrote them."""
    shards.write("other-protocol-numerics", SHARD, table())
    [path] = files_below(tmp_path)
    (tmp_path / "scores" / KEY).mkdir()
    shutil.copy(path, tmp_path / "scores" / KEY)
    rows = shards.read("other-protocol-numerics", SHARD)
    assert rows is not None
    assert key_of(rows) == "other-protocol-numerics"
    assert shards.read(KEY, SHARD) is None
    shards.write(KEY, SHARD, rows)
    assert shards.read(KEY, SHARD) is None
    assert len(files_below(tmp_path)) == 2
    shards.write(KEY, SHARD, table())
    assert shards.read(KEY, SHARD) is not None
    assert shards.passed_over == set()


def test_rows_that_name_no_key_are_read_only_where_they_may_be(tmp_path: Path) -> None:
    """An earlier version wrote them."""
    old, sink = table(), pa.BufferOutputStream()
    pq.write_table(old, sink)
    content = sink.getvalue().to_pybytes()
    lenient = ShardFiles(tmp_path, tmp_path / "scores")
    lenient.add_file(KEY, f"{SHARD}.{checksum(content)}.parquet", content)
    assert lenient.read(KEY, SHARD) == old
    strict = ShardFiles(tmp_path, tmp_path / "scores", reads_unbound=False)
    assert strict.read(KEY, SHARD) is None
    [path] = files_below(tmp_path)
    assert strict.passed_over == {path}
    strict.write(KEY, SHARD, old)
    assert strict.read(KEY, SHARD) is not None


def test_a_shard_of_another_key_or_of_other_ids_is_absent(shards: ShardFiles) -> None:
    shards.write(KEY, SHARD, table())
    assert shards.read("other", SHARD) is None
    assert shards.read(KEY, SHARD[:4]) is None
    assert shards.read(KEY, SHARD + "0") is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_one_flipped_bit_makes_a_shard_absent_and_removes_its_file(
    shards: ShardFiles, tmp_path: Path, share: float
) -> None:
    shards.write(KEY, SHARD, table())
    [path] = files_below(tmp_path)
    flip_bit(path, int(share * path.stat().st_size))
    assert shards.read(KEY, SHARD) is None
    assert files_below(tmp_path) == []
    shards.write(KEY, SHARD, table())
    assert shards.read(KEY, SHARD) is not None


def test_an_intact_copy_is_read_beside_a_damaged_one(shards: ShardFiles, tmp_path: Path) -> None:
    shards.write(KEY, SHARD, table(margin=0.5))
    shards.write(KEY, SHARD, table(margin=0.7))
    flip_bit(files_below(tmp_path)[0], 40)
    assert shards.read(KEY, SHARD) is not None
    assert len(files_below(tmp_path)) == 1


@pytest.mark.parametrize("intact_beside", [False, True])
def test_a_shard_under_the_name_of_another_is_absent(shards: ShardFiles, tmp_path: Path, intact_beside: bool) -> None:
    """Its checksum is right, since that covers its bytes alone."""
    other = table(2)
    shards.write(KEY, rows_digest(other), other)
    [path] = files_below(tmp_path)
    path.rename(path.with_name(path.name.replace(rows_digest(other), SHARD)))
    shards.forget_listings()
    if intact_beside:
        shards.write(KEY, SHARD, table())
    stored = shards.read(KEY, SHARD)
    assert (stored is not None and stored.equals(table())) if intact_beside else stored is None
    assert len(files_below(tmp_path)) == int(intact_beside)


def test_a_file_that_is_added_keeps_its_name_and_bytes(shards: ShardFiles, tmp_path: Path) -> None:
    shards.write(KEY, SHARD, table())
    [path] = files_below(tmp_path)
    other = ShardFiles(tmp_path / "other", tmp_path / "other" / "scores")
    other.add_file(KEY, path.name, path.read_bytes())
    assert other.read(KEY, SHARD) is not None
    [(key, shard, copy)] = other.list_files()
    assert (key, shard, copy.name, copy.read_bytes()) == (KEY, SHARD, path.name, path.read_bytes())


def test_a_file_of_another_process_is_read_once_the_listing_is_forgotten(shards: ShardFiles, tmp_path: Path) -> None:
    assert shards.read(KEY, SHARD) is None
    ShardFiles(tmp_path, tmp_path / "scores").write(KEY, SHARD, table())
    assert shards.read(KEY, SHARD) is None
    shards.forget_listings()
    assert shards.read(KEY, SHARD) is not None


def test_a_shard_that_cannot_be_read_is_an_error_of_the_store(shards: ShardFiles, tmp_path: Path) -> None:
    """A folder stands where the file should, which even root cannot read as a file."""
    shards.write(KEY, SHARD, table())
    [path] = files_below(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        shards.read(KEY, SHARD)


def test_a_shard_that_was_pruned_since_it_was_listed_is_absent(shards: ShardFiles, tmp_path: Path) -> None:
    shards.write(KEY, SHARD, table())
    [path] = files_below(tmp_path)
    path.unlink()
    assert shards.read(KEY, SHARD) is None


def test_a_name_or_content_that_does_not_match_gives_no_rows(shards: ShardFiles, tmp_path: Path) -> None:
    shards.write(KEY, SHARD, table())
    [path] = files_below(tmp_path)
    content = path.read_bytes()
    rows = read_rows(path.name, content)
    assert rows is not None
    assert rows.equals(table())
    assert read_rows(path.name, content + b"x") is None
    assert read_rows("0" * 32 + path.name[32:], content) is None


def test_processes_that_write_the_same_shard_at_once_leave_one_intact_file(shards: ShardFiles, tmp_path: Path) -> None:
    rows = pa.table({"example_id": list(range(5000)), "digest": ["d"] * 5000})
    shard = rows_digest(rows)
    code = (
        "import sys; from pathlib import Path; import pyarrow as pa;"
        "from pytest_kdmem.scoring.shard_files import ShardFiles;"
        "root = Path(sys.argv[1]);"
        "shards, rows = ShardFiles(root, root / 'scores'),"
        " pa.table({'example_id': list(range(5000)), 'digest': ['d'] * 5000});"
        "sys.stdin.readline();"
        f"[shards.write({KEY!r}, {shard!r}, rows) for _ in range(20)]"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.communicate()[1] for writer in writers] == [b"", b""]
    assert len(files_below(tmp_path)) == 1
    stored = shards.read(KEY, shard)
    assert stored is not None
    assert stored.num_rows == 5000
