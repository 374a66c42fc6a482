"""Stored shards of scores: parquet files whose names say what they hold, so that a damaged one is noticed.

A shard is ``<key>/<shard>.<checksum>.parquet``: the key stands for model, protocol and numerics, the shard for the
token ids of its examples, and the checksum for the file's bytes. The key also stands in the file, so that a shard that
was laid into the folder of another model is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.corpus.shards import rows_digest
from pytest_kdmem.scoring.store_files import checksum, unusable_folder, write_file

# Metadata of a stored table: the key that it was scored for. Shards of earlier versions have none.
KEY = b"kdmem.key"


class StoredShard(NamedTuple):
    """A file of the store: its key, its shard and its path."""

    key: str
    shard: str
    path: Path


class ShardFiles:
    """The shards of one store.

    Args:
        root: Folder of the store, for messages.
        folder: Folder of the shards.
        reads_unbound: Whether shards that do not name their key, as earlier versions wrote them, are read.
    """

    def __init__(self, root: Path, folder: Path, *, reads_unbound: bool = True) -> None:
        self._root = root
        self._folder = folder
        self._reads_unbound = reads_unbound
        self.passed_over: set[Path] = set()  # intact shards that do not name their key, and were not read
        # Paths by key and shard, listed once for each key: a folder may hold very many files.
        self._listings: dict[str, dict[str, list[Path]]] = {}

    def read(self, key: str, shard: str) -> pa.Table | None:
        """The rows of a stored shard, or None.

        A damaged file counts as absent and is removed. One of another key counts as absent.

        Raises:
            StoreError: The file exists and cannot be read.
        """
        for path in self._listing(key).get(shard, ()):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # pruned meanwhile
            except OSError as error:
                raise unusable_folder(self._root, error.strerror) from error
            if (table := read_rows(path.name, content)) is None:
                with suppress(OSError):  # it counts as absent, whether it can be removed or not
                    path.unlink(missing_ok=True)
            elif key_of(table) == key or (key_of(table) is None and self._reads_unbound):
                return table
            elif key_of(table) is None:
                self.passed_over.add(path)
        return None

    def write(self, key: str, shard: str, table: pa.Table) -> None:
        """Store the rows of a shard with the key that they were scored for; rows that name another key keep that one.

        Raises:
            StoreError: The folder cannot be written.
        """
        table = table.replace_schema_metadata({KEY: key, **(table.schema.metadata or {})})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        self.add_file(key, f"{shard}.{checksum(content)}.parquet", content)

    def add_file(self, key: str, name: str, content: bytes) -> None:
        """Store the file of a shard under its name, unchanged.

        Raises:
            StoreError: The folder cannot be written.
        """
        path, listing = self._folder / key / name, self._listing(key)
        write_file(self._root, path, content)
        shard = name.partition(".")[0]
        listing[shard] = sorted({*listing.get(shard, ()), path})

    def list_files(self) -> Iterator[StoredShard]:
        """Every stored file, in the order of the paths.

        Raises:
            StoreError: A folder cannot be read; `Path.glob` would pass over it.
        """
        try:
            folders = [folder for folder in self._folder.iterdir() if folder.match("*-*-*") and folder.is_dir()]
            paths = sorted(path for folder in folders for path in folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise unusable_folder(self._root, error.strerror) from error
        for path in paths:
            if path.suffix == ".parquet" and not path.name.startswith("."):
                yield StoredShard(path.parent.name, path.name.partition(".")[0], path)

    def forget_listings(self) -> None:
        """List the folders anew when they are read next, since another process may have written to them."""
        self._listings.clear()

    def _listing(self, key: str) -> dict[str, list[Path]]:
        """The files of a key by shard: those of the first listing, and those written since."""
        if key not in self._listings:
            listing: dict[str, list[Path]] = {}
            for path in sorted((self._folder / key).glob("*.parquet")):
                listing.setdefault(path.name.partition(".")[0], []).append(path)
            self._listings[key] = listing
        return self._listings[key]


def read_rows(name: str, content: bytes) -> pa.Table | None:
    """The rows in a shard's file, or None if its bytes or its rows do not match its name."""
    shard, expected, *_ = name.split(".")
    if checksum(content) != expected:
        return None
    try:
        # One thread, as a shard is small: the memory that many threads allocate in turn stays theirs.
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        return table if rows_digest(table) == shard else None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None


def key_of(table: pa.Table) -> str | None:
    """The key that stored rows were scored for; None if an earlier version wrote them."""
    key: bytes | None = (table.schema.metadata or {}).get(KEY)
    return None if key is None else key.decode(errors="replace")
