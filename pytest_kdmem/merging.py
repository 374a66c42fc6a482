"""Score stores of parts of a run → one store, and what is still missing in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_kdmem.errors import StoreError
from pytest_kdmem.store import ScoreStore, checksum


@dataclass(frozen=True)
class Coverage:
    """How many ``shards`` of one training set are ``scored`` by one model; ``weights`` is its digest's beginning."""

    weights: str
    key: str
    examples: int
    scored: int
    shards: int

    @property
    def whole(self) -> bool:
        return self.scored == self.shards


@dataclass(frozen=True)
class Merged:
    """What was done: shards ``taken`` and ``known`` already, ``damaged`` files of which there is no good copy.

    ``coverage`` tells what is there now of the runs that the stores took part in.
    """

    taken: int
    known: int
    damaged: tuple[Path, ...]
    coverage: tuple[Coverage, ...]

    @property
    def whole(self) -> bool:
        return not self.damaged and all(one.whole for one in self.coverage)


def merge(sources: Sequence[Path], into: ScoreStore) -> Merged:
    """Copy what other stores hold into one; a shard that it has already stays as it is.

    Raises:
        StoreError: a source is no score store, or the target cannot be written.
    """
    for source in sources:
        if not (source / "scores").is_dir():
            raise StoreError(f"A score store was expected at {source}, and it has no folder `scores`; check the path.")
    known = {(key, shard) for key, shard, _ in into.shards()}
    before, taken = len(known), 0
    touched: set[str] = set()
    damaged: list[tuple[str, str, Path]] = []
    for source in sources:
        store = ScoreStore(source)
        for key, shard, path in store.shards():
            touched.add(key)
            if (key, shard) in known:
                continue
            content = path.read_bytes()
            if checksum(content) != path.suffixes[-2][1:]:
                damaged.append((key, shard, path))
                continue
            into.take_shard(key, path.name, content)
            known.add((key, shard))
            taken += 1
        for record_key, record in store.records():
            into.write_record(record_key, record)
    lost = tuple(path for key, shard, path in damaged if (key, shard) not in known)
    return Merged(taken, before, lost, coverage_of(into, touched))


def coverage_of(store: ScoreStore, keys: set[str]) -> tuple[Coverage, ...]:
    """Of each key and each training set that it has shards of, how many of them it has."""
    scored: dict[str, set[str]] = defaultdict(set)
    for key, shard, _ in store.shards():
        scored[key].add(shard)
    found = []
    for key in sorted(keys):
        for _, record in store.records():
            present = sum(shard in scored[key] for shard in record.shards)
            if present:
                found.append(Coverage(key.partition("-")[0], key, record.examples, present, len(record.shards)))
    return tuple(found)
