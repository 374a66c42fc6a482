"""The score store: a folder that keeps scores, and what was computed from them, from one run to the next."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa
from filelock import FileLock

from pytest_kdmem.base.files import PRIVATE_FILE, make_folder
from pytest_kdmem.base.locks import acquire
from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.scoring.common_columns import CommonColumns
from pytest_kdmem.scoring.entries import Entries, EntryKind
from pytest_kdmem.scoring.shard_files import ShardFiles, StoredShard
from pytest_kdmem.scoring.store_files import unusable_folder

# Names of the store's own files, and of those that a killed process left unfinished.
OWN_NAME = re.compile(r"\.?[0-9a-f]{32}\.([0-9a-f]{16}\.parquet|json)(\.[0-9a-f]+\.partial)?$")


@dataclass(frozen=True)
class StoreInfo:
    """Contents of a store.

    Attributes:
        root: Folder of the store.
        shards: Number of stored shards of scores.
        corpora: Number of recorded training sets.
        confirmations: Number of stored confirmations.
        size_bytes: Size of all files.
    """

    root: Path
    shards: int
    corpora: int
    confirmations: int
    size_bytes: int


class ScoreStore:
    """A folder of score shards and entries; it holds no text and no token ids.

    Args:
        root: The folder; it is made when something is written.
        reads_unbound: Whether to read what an earlier version wrote: shards that do not name the model that they were
            scored by, and records that do not name the source that they were read from.
    """

    def __init__(self, root: Path, *, reads_unbound: bool = True) -> None:
        self.root = root
        self._reads_unbound = reads_unbound
        self._scores = root / "scores"
        self._shards = ShardFiles(root, self._scores, reads_unbound=reads_unbound)
        self._entries = Entries(root)
        self.common_columns = CommonColumns()  # of the tables that are read from here, as long as the store is in use

    @property
    def passed_over(self) -> int:
        """Number of intact shards that were not read, as they do not name the model that they were scored by."""
        return len(self._shards.passed_over)

    def read_shard(self, key: str, shard: str) -> pa.Table | None:
        """The rows of a stored shard, or None.

        A damaged file counts as absent and is removed. One of another key counts as absent.

        Raises:
            StoreError: The file exists and cannot be read.
        """
        return self._shards.read(key, shard)

    def write_shard(self, key: str, shard: str, table: pa.Table) -> None:
        """Store the rows of a shard.

        Raises:
            StoreError: The folder cannot be written.
        """
        self._shards.write(key, shard, table)

    def add_shard_file(self, key: str, name: str, content: bytes) -> None:
        """Store the file of a shard, taken from another store, under its name.

        Raises:
            StoreError: The folder cannot be written.
        """
        self._shards.add_file(key, name, content)

    def shards(self) -> Iterator[StoredShard]:
        """Key, shard and path of every stored shard, in the order of the paths.

        Raises:
            StoreError: A folder cannot be read.
        """
        return (stored for stored in self._shards.list_files() if OWN_NAME.match(stored.path.name))

    def read_record(self, key: str) -> CorpusRecord | None:
        """What is recorded of a training set, or None; a damaged record or one of another set counts as absent."""
        content = self._entries.read("corpora", key)
        try:
            record = CorpusRecord.from_json(content) if content is not None else None
        except (TypeError, ValueError):
            return None
        is_own = record is not None and (record.read_as == key or (not record.read_as and self._reads_unbound))
        return record if is_own else None

    def write_record(self, key: str, record: CorpusRecord) -> None:
        """Store what is recorded of a training set; a record that names another key is stored, and never read.

        Raises:
            StoreError: The folder cannot be written.
        """
        self._entries.write("corpora", key, record.to_json())

    def records(self) -> Iterator[tuple[str, CorpusRecord]]:
        """The records of all training sets, each with its key; damaged records are left out."""
        for key in self._entries.keys("corpora"):
            if (record := self.read_record(key)) is not None:
                yield key, record

    def read_entry(self, kind: EntryKind, key: str) -> dict[str, Any] | None:
        """The content of an entry, or None; a damaged entry counts as absent."""
        return self._entries.read(kind, key)

    def entries(self, kind: EntryKind) -> Iterator[tuple[str, dict[str, Any]]]:
        """All intact entries of a kind, each with its key."""
        for key in self._entries.keys(kind):
            if (content := self.read_entry(kind, key)) is not None:
                yield key, content

    def write_entry(self, kind: EntryKind, key: str, content: dict[str, Any]) -> None:
        """Store the content of an entry.

        Raises:
            StoreError: The folder cannot be written.
        """
        self._entries.write(kind, key, content)

    @contextmanager
    def lock(self, key: str, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
        """Hold a key while it is scored, so that of several processes one scores and the others read.

        Args:
            key: The key to hold.
            on_wait: Called before this process waits for another one that holds the key.

        Raises:
            StoreError: The folder cannot be written.
        """
        path = self.root / "locks" / f"{key}.lock"
        lock = FileLock(path, mode=PRIVATE_FILE)
        try:
            make_folder(path.parent, private=True)
            acquire(lock, on_wait)
        except OSError as error:
            raise unusable_folder(self.root, error.strerror) from error
        self._shards.forget_listings()  # others may have written while this process waited
        try:
            yield
        finally:
            lock.release()

    def info(self) -> StoreInfo:
        paths = list(self.root.rglob("*")) if self.root.is_dir() else []
        files = {
            path: status.st_size for path in paths if (status := _status(path)) is not None and S_ISREG(status.st_mode)
        }
        corpora, confirmations = self._entries.folders["corpora"], self._entries.folders["confirmations"]
        return StoreInfo(
            root=self.root,
            shards=sum(file.suffix == ".parquet" for file in files),
            corpora=sum(file.parent == corpora and file.suffix == ".json" for file in files),
            confirmations=sum(file.parent == confirmations and file.suffix == ".json" for file in files),
            size_bytes=sum(files.values()),
        )

    def prune(self, *, older_than_days: float = 0.0) -> int:
        """Remove files of the store by their age.

        Args:
            older_than_days: Age in days from which on a file is removed, counted from its last write.

        Returns:
            The number of removed files.
        """
        removed = 0
        files = list(self._scores.glob("*-*-*/*.parquet*"))
        for folder in self._entries.folders.values():
            files += folder.glob("*.json*")
        for file in files:
            if not OWN_NAME.match(file.name) or (status := _status(file)) is None:
                continue
            if time.time() - status.st_mtime >= older_than_days * 86_400:
                file.unlink(missing_ok=True)
                removed += 1
        return removed


def _status(path: Path) -> os.stat_result | None:
    """The status of a file, or None if it was removed since it was listed."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
