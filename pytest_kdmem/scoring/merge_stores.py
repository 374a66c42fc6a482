"""Merges the score stores of a run's parts into one, and counts the shards that are still missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.shard_files import key_of, read_rows
from pytest_kdmem.scoring.store import ScoreStore


@dataclass(frozen=True)
class Coverage:
    """How much of one training set is scored by one model.

    Attributes:
        weights: First characters of the model's digest.
        key: The store's key of model, protocol and numerics.
        examples: Number of examples of the training set, or None if the store has no record of it.
        scored: Number of its shards that are scored.
        shards: Number of its shards, or None if the store has no record of it: then the run never counts as complete.
    """

    weights: str
    key: str
    examples: int | None
    scored: int
    shards: int | None

    @property
    def complete(self) -> bool:
        return self.scored == self.shards


@dataclass(frozen=True)
class MergeResult:
    """What a merge did.

    Attributes:
        copied: Number of shards that were copied into the store.
        present: Number of intact shards that the store held before.
        damaged: Files that are damaged or lie in the folder of another model, and whose shards no source holds intact.
        coverage: What the store holds now of each run that the sources belong to.
    """

    copied: int
    present: int
    damaged: tuple[Path, ...]
    coverage: tuple[Coverage, ...]

    @property
    def complete(self) -> bool:
        return not self.damaged and all(coverage.complete for coverage in self.coverage)


def merge(sources: Sequence[Path], into: ScoreStore) -> MergeResult:
    """Copy the shards, records and losses of other stores into one; shards that it holds intact stay as they are.

    Raises:
        StoreError: A source is no score store or cannot be read, or the target cannot be read or written.
    """
    for source in sources:
        if not _is_store(source):
            raise StoreError(f"A score store was expected at {source}, and it has no folder `scores`; check the path.")
    # Each shard is read and not only listed: a damaged file is removed, and an intact copy may take its place.
    intact = {(key, shard) for key, shard, _ in into.shards() if into.read_shard(key, shard) is not None}
    present, copied = len(intact), 0
    source_keys: set[str] = set()
    damaged: list[tuple[str, str, Path]] = []
    for source in sources:
        store = ScoreStore(source)
        for key, shard, path in store.shards():
            source_keys.add(key)
            if (key, shard) in intact:
                continue
            content = _read_bytes(path)
            rows = read_rows(path.name, content)
            if rows is None or key_of(rows) not in (key, None):
                damaged.append((key, shard, path))
                continue
            into.add_shard_file(key, path.name, content)
            intact.add((key, shard))
            copied += 1
        for record_key, record in store.records():
            if record.read_as or into.read_record(record_key) is None:
                into.write_record(record_key, record)
        for reading_key, losses in store.entries("readings"):
            into.write_entry("readings", reading_key, losses)
    lost = tuple(path for key, shard, path in damaged if (key, shard) not in intact)
    records = [record for _, record in into.records()]
    return MergeResult(copied, present, lost, tuple(_coverage(intact, source_keys, records)))


def _coverage(intact: set[tuple[str, str]], keys: set[str], records: Sequence[CorpusRecord]) -> Iterator[Coverage]:
    """The coverage of each key and recorded training set, then of each key's shards that no record names."""
    scored: dict[str, set[str]] = defaultdict(set)
    for key, shard in intact:
        scored[key].add(shard)
    recorded = {shard for record in records for shard in record.shards}
    for key in sorted(keys):
        weights = key.partition("-")[0]
        for record in records:
            if count := sum(shard in scored[key] for shard in record.shards):
                yield Coverage(weights, key, record.examples, count, len(record.shards))
        if unrecorded := scored[key] - recorded:
            yield Coverage(weights, key, None, len(unrecorded), None)


def _is_store(source: Path) -> bool:
    try:
        return (source / "scores").is_dir()
    except OSError as error:
        raise StoreError(
            f"A score store that can be read was expected at {source} ({error.strerror}); mend its permissions."
        ) from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"A file of scores that can be read was expected at {path} ({error.strerror}); mend its permissions, or"
            " merge without that store."
        ) from error
