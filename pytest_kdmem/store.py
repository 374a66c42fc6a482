"""Score shards on disk: found by the digests of all they depend on, checked when read, whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.errors import StoreError

FORMAT = 1
OWN_NAME = re.compile(r"\.?[0-9a-f]{32}\.([0-9a-f]{16}\.parquet|json)(\.[0-9a-f]+\.partial)?$")


@dataclass(frozen=True)
class StoreInfo:
    """What lies in a store: bytes on disk, score shards, and remembered training sets."""

    root: Path
    shards: int
    corpora: int
    size_bytes: int


class ScoreStore:
    """A folder of score shards and corpus records; it holds no text and no token ids.

    ``scores/<key>/<shard>.<checksum>.parquet``: the key stands for model, protocol and numerics, the shard for the
    token ids, and the checksum for the file's own bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scores = root / "scores"
        self._corpora = root / "corpora"

    def read_shard(self, key: str, shard: str) -> pa.Table | None:
        """A stored shard, or None; one whose bytes are not those written is dropped and counts as absent."""
        for path in self._scores.glob(f"{key}/{shard}.*.parquet"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # pruned meanwhile
            except OSError as error:
                raise _unwritable(self.root, error) from error
            if _checksum(content) == path.suffixes[-2][1:]:
                return pq.read_table(pa.BufferReader(content))
            with suppress(OSError):  # counts as absent, whether it can be removed or not
                path.unlink(missing_ok=True)
        return None

    def write_shard(self, key: str, shard: str, table: pa.Table) -> None:
        """Store a shard.

        Raises:
            StoreError: the folder cannot be written.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        self._write(self._scores / key / f"{shard}.{_checksum(content)}.parquet", content)

    def read_record(self, key: str) -> CorpusRecord | None:
        """What is remembered of a training set, or None; a damaged record counts as absent."""
        try:
            content = json.loads((self._corpora / f"{key}.json").read_text())
            if content.pop("format") != FORMAT or content.pop("checksum") != _checksum(_canonical(content)):
                return None
            return CorpusRecord.from_json(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_record(self, key: str, record: CorpusRecord) -> None:
        content = record.to_json()
        whole = {**content, "format": FORMAT, "checksum": _checksum(_canonical(content))}
        self._write(self._corpora / f"{key}.json", _canonical(whole))

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held while something is scored, so that of several processes one works and the others read."""
        path = self.root / "locks" / f"{key}.lock"
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise _unwritable(self.root, error) from error
        try:
            yield
        finally:
            lock.release()

    def info(self) -> StoreInfo:
        files = [file for file in self.root.rglob("*") if file.is_file()] if self.root.is_dir() else []
        return StoreInfo(
            root=self.root,
            shards=sum(file.suffix == ".parquet" for file in files),
            corpora=sum(file.parent == self._corpora and file.suffix == ".json" for file in files),
            size_bytes=sum(file.stat().st_size for file in files),
        )

    def prune(self, *, older_than_days: float = 0.0) -> int:
        """Remove what was last written so many days ago or earlier; returns the number of files removed."""
        removed = 0
        for folder, names in ((self._scores, "*-*-*/*.parquet*"), (self._corpora, "*.json*")):
            for file in list(folder.glob(names)):
                if OWN_NAME.match(file.name) and time.time() - file.stat().st_mtime >= older_than_days * 86_400:
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _write(self, path: Path, content: bytes) -> None:
        """Write under another name and rename: a reader sees all of a file or none, whenever a process is killed."""
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise _unwritable(self.root, error) from error


def _unwritable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        f"A folder to read and write was expected for scores at {root} ({error.strerror});"
        " name another with --kdmem-cache-dir."
    )


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
