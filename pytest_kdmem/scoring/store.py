"""Scores, and what was found about training sets, on disk: known by all they depend on, checked, whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from pytest_kdmem.base.files import write_bytes
from pytest_kdmem.corpus.shards import CorpusRecord, rows_digest
from pytest_kdmem.errors import StoreError

FORMAT = 1
# What is found about a training set beside its scores.
Finding = Literal["near-duplicates", "predictors"]
OWN_NAME = re.compile(r"\.?[0-9a-f]{32}\.([0-9a-f]{16}\.parquet|json)(\.[0-9a-f]+\.partial)?$")


@dataclass(frozen=True)
class StoreInfo:
    """What lies in a store: bytes on disk, score shards, remembered training sets, and confirmations."""

    root: Path
    shards: int
    corpora: int
    confirmations: int
    size_bytes: int


class ScoreStore:
    """A folder of score shards, corpus records, confirmations and findings; it holds no text and no token ids.

    ``scores/<key>/<shard>.<checksum>.parquet``: the key stands for model, protocol and numerics, the shard for the
    token ids, and the checksum for the file's own bytes. A file under a name that is another's counts as damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scores = root / "scores"
        self._corpora = root / "corpora"
        self._confirmations = root / "confirmations"
        self._findings = {kind: root / kind for kind in get_args(Finding)}
        self._listings: dict[str, dict[str, list[Path]]] = {}  # by key and shard: a folder may hold very many

    def read_shard(self, key: str, shard: str) -> pa.Table | None:
        """A stored shard, or None; a damaged one is dropped and counts as absent.

        Raises:
            StoreError: it is there and cannot be read.
        """
        for path in self._listing(key).get(shard, ()):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # pruned meanwhile
            except OSError as error:
                raise _unwritable(self.root, error.strerror) from error
            if (table := read_rows(path.name, content)) is not None:
                return table
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
        self.add_shard_file(key, f"{shard}.{checksum(content)}.parquet", content)

    def add_shard_file(self, key: str, name: str, content: bytes) -> None:
        """Store a shard's file, of this store or another, as it is."""
        path, listing = self._scores / key / name, self._listing(key)
        self._write(path, content)
        shard = name.partition(".")[0]
        listing[shard] = sorted({*listing.get(shard, ()), path})

    def shards(self) -> Iterator[tuple[str, str, Path]]:
        """Key, shard and file of everything stored, in order of their names.

        Raises:
            StoreError: a folder cannot be read; a pattern of `Path.glob` would pass it by.
        """
        try:
            folders = [folder for folder in self._scores.iterdir() if folder.match("*-*-*") and folder.is_dir()]
            paths = sorted(path for folder in folders for path in folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unwritable(self.root, error.strerror) from error
        for path in paths:
            if OWN_NAME.match(path.name) and path.suffix == ".parquet" and not path.name.startswith("."):
                yield path.parent.name, path.name.partition(".")[0], path

    def records(self) -> Iterator[tuple[str, CorpusRecord]]:
        """What is remembered of training sets, each with its key; damaged records are left out."""
        for path in sorted(self._corpora.glob("*.json")):
            if (record := self.read_record(path.stem)) is not None:
                yield path.stem, record

    def read_record(self, key: str) -> CorpusRecord | None:
        """What is remembered of a training set, or None; a damaged record counts as absent."""
        content = self._read_json(self._corpora / f"{key}.json")
        try:
            return CorpusRecord.from_json(content) if content is not None else None
        except (TypeError, ValueError):
            return None

    def write_record(self, key: str, record: CorpusRecord) -> None:
        self._write_json(self._corpora / f"{key}.json", record.to_json())

    def read_confirmation(self, key: str) -> dict[str, Any] | None:
        """What was written of a confirmation, or None; a damaged one counts as absent."""
        return self._read_json(self._confirmations / f"{key}.json")

    def write_confirmation(self, key: str, content: dict[str, Any]) -> None:
        self._write_json(self._confirmations / f"{key}.json", content)

    def read_finding(self, kind: Finding, key: str) -> dict[str, Any] | None:
        """What was found of a training set and written, or None; a damaged entry counts as absent."""
        return self._read_json(self._findings[kind] / f"{key}.json")

    def write_finding(self, kind: Finding, key: str, content: dict[str, Any]) -> None:
        self._write_json(self._findings[kind] / f"{key}.json", content)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held while something is scored, so that of several processes one works and the others read."""
        path = self.root / "locks" / f"{key}.lock"
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise _unwritable(self.root, error.strerror) from error
        self._listings.clear()  # others may have written while this one waited
        try:
            yield
        finally:
            lock.release()

    def info(self) -> StoreInfo:
        found = {path: _status(path) for path in self.root.rglob("*")} if self.root.is_dir() else {}
        files = {path: status for path, status in found.items() if status is not None and S_ISREG(status.st_mode)}
        return StoreInfo(
            root=self.root,
            shards=sum(file.suffix == ".parquet" for file in files),
            corpora=sum(file.parent == self._corpora and file.suffix == ".json" for file in files),
            confirmations=sum(file.parent == self._confirmations and file.suffix == ".json" for file in files),
            size_bytes=sum(status.st_size for status in files.values()),
        )

    def prune(self, *, older_than_days: float = 0.0) -> int:
        """Remove what was last written so many days ago or earlier; returns the number of files removed."""
        removed = 0
        entries = (self._corpora, self._confirmations, *self._findings.values())
        for folder in (self._scores, *entries):
            for file in list(folder.glob("*.json*" if folder in entries else "*-*-*/*.parquet*")):
                if not OWN_NAME.match(file.name) or (status := _status(file)) is None:
                    continue
                if time.time() - status.st_mtime >= older_than_days * 86_400:
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _listing(self, key: str) -> dict[str, list[Path]]:
        """The files of a key by shard, as they were when it was first asked for, and what was written since."""
        if key not in self._listings:
            found: dict[str, list[Path]] = {}
            for path in sorted((self._scores / key).glob("*.parquet")):
                found.setdefault(path.name.partition(".")[0], []).append(path)
            self._listings[key] = found
        return self._listings[key]

    def _read_json(self, path: Path) -> dict[str, Any] | None:
        """A stored entry as it was written, or None of one that is absent or damaged."""
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            written = content.pop("format") == FORMAT and content.pop("checksum") == checksum(_canonical(content))
            whole = written and content.pop("key") == path.stem  # else it was renamed
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return content if whole else None

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        keyed = {**content, "key": path.stem}
        self._write(path, _canonical({**keyed, "format": FORMAT, "checksum": checksum(_canonical(keyed))}))

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file so that a reader sees all of it or none, whenever a process is killed."""
        write_bytes(content, path, lambda reason: _unwritable(self.root, reason))


def _unwritable(root: Path, reason: str | None) -> StoreError:
    return StoreError(
        f"A folder to read and write was expected for scores at {root} ({reason}); name another with --kdmem-cache-dir."
    )


def _status(path: Path) -> os.stat_result | None:
    """What the system tells of a file, or None of one that was removed since it was found."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def read_rows(name: str, content: bytes) -> pa.Table | None:
    """The rows in a shard's file, or None where its bytes or its rows are not those that its name tells."""
    shard, written, *_ = name.split(".")
    if checksum(content) != written:
        return None
    try:
        table = pq.read_table(pa.BufferReader(content))
        return table if rows_digest(table) == shard else None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None


def checksum(content: bytes) -> str:
    """What a stored file's name or content says of its bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
