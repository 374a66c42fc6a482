"""A file in an object store is written whole or not at all, and every fault is one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from pytest_kdmem.base import remote_files
from pytest_kdmem.base.files import atomic_file, write_table, write_text
from pytest_kdmem.base.remote_files import make_room, read_text
from pytest_kdmem.errors import DataError

ADDRESS = "s3://results/folder/audit.json"


def test_what_is_written_is_read_again_and_nothing_else_lies_there(bucket):
    write_text(["{", "ä}"], ADDRESS)
    assert bucket["folder/audit.json"].decode() == "{ä}"
    assert bucket.files == ["folder/audit.json"]
    assert read_text(ADDRESS) == "{ä}"
    write_text("", ADDRESS)
    assert read_text(ADDRESS) == ""


def test_a_table_of_several_parts_is_that_of_a_disk(bucket, tmp_path):
    table = pa.table({"bytes": [os.urandom(1 << 20) for _ in range(12)]})  # pyarrow sends parts of 10 MB
    write_table(table, "s3://results/scores.parquet")
    (tmp_path / "scores.parquet").write_bytes(bucket["scores.parquet"])
    assert pq.read_table(tmp_path / "scores.parquet").equals(table)


def test_a_browser_is_told_what_it_is(bucket):
    write_text("<p>", "s3://results/audit.html")
    assert bucket.client.head_object(Bucket="results", Key="audit.html")["ContentType"] == "text/html"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError()])
def test_a_block_that_fails_sends_nothing_and_leaves_what_is_there(bucket, error):
    def half_written(address: str) -> None:
        with atomic_file(address) as temporary:
            temporary.write_text("half")
            raise error

    for key in ("new.json", "old.json"):
        bucket["old.json"] = b"of before"
        with pytest.raises(type(error)):
            half_written(f"s3://results/{key}")
    assert bucket.files == ["old.json"]
    assert bucket["old.json"] == b"of before"


def test_room_is_made_where_there_is_a_file_and_where_there_is_none(bucket):
    bucket["folder/audit.json"] = b"{}"
    make_room(ADDRESS)
    make_room(ADDRESS)
    assert bucket.files == []
    with pytest.raises(FileNotFoundError):
        read_text(ADDRESS)


@pytest.mark.parametrize("act", [make_room, read_text, lambda address: write_text("text", address)])
@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError, pa.ArrowException, UnicodeError, OSError])
def test_whatever_pyarrow_raises_is_one_sentence(monkeypatch, act, error):
    def refused(_: str) -> None:
        raise error("no such\nthing")

    monkeypatch.setattr(remote_files, "FileSystem", SimpleNamespace(from_uri=refused))
    with pytest.raises(DataError, match=rf"at {ADDRESS}, which is not possible .*your credentials\.$") as raised:
        act(ADDRESS)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("act", [make_room, lambda address: write_text("text", address)])
def test_a_bucket_that_there_is_not_is_one_sentence(bucket, act):
    with pytest.raises(DataError, match=r"A file was to be written at s3://no-such-bucket/a.json"):
        act("s3://no-such-bucket/a.json")


def test_a_private_file_has_no_address(bucket):
    with pytest.raises(DataError, match="only its owner may read"), atomic_file(ADDRESS, private=True):
        pass
    assert bucket.files == []


class OtherFileSystem(SubTreeFileSystem):
    """A folder of this machine, which pyarrow does not name an object store."""


@pytest.fixture
def shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for ``hdfs://host/``; half of each file is sent before anything can fail."""
    filesystem = OtherFileSystem(str(tmp_path), LocalFileSystem())
    monkeypatch.setattr(
        remote_files,
        "FileSystem",
        type(
            "Opened", (), {"from_uri": staticmethod(lambda address: (filesystem, address.removeprefix("hdfs://host/")))}
        ),
    )
    return tmp_path


def test_where_a_file_is_seen_while_it_is_sent_it_has_another_name(shared_folder, monkeypatch):
    (shared_folder / "audit.json").write_text("of before")
    write_text("whole", "hdfs://host/audit.json")
    assert [path.name for path in shared_folder.iterdir()] == ["audit.json"]
    assert (shared_folder / "audit.json").read_text() == "whole"

    class Info:
        size = 2

    monkeypatch.setattr(OtherFileSystem, "get_file_info", lambda self, path: Info, raising=False)
    with pytest.raises(DataError, match="2 bytes arrived of 4"):
        write_text("half", "hdfs://host/audit.json")
    assert [path.name for path in shared_folder.iterdir()] == ["audit.json"]
    assert (shared_folder / "audit.json").read_text() == "whole"
