"""Score stores of parts of a run → one store, and what is still missing in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.store import ScoreStore, rows_of


@dataclass(frozen=True)
class Coverage:
    """How many ``shards`` of one training set are ``scored`` by one model; ``weights`` is its digest's beginning.

    ``examples`` and ``shards`` are None of those that are in no training set remembered, as is the rule with sources
    that are not at hand: how many there should be is not known, so they are never whole.
    """

    weights: str
    key: str
    examples: int | None
    scored: int
    shards: int | None

    @property
    def whole(self) -> bool:
        return self.scored == self.shards


@dataclass(frozen=True)
class Merged:
    """What was done: shards ``taken``, whole ones ``known`` before, ``damaged`` files of which there is no good copy.

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
    """Copy what other stores hold into one; a whole shard that it has already stays as it is.

    Raises:
        StoreError: a source is no score store or cannot be read, or the target cannot be read or written.
    """
    for source in sources:
        if not _is_store(source):
            raise StoreError(f"A score store was expected at {source}, and it has no folder `scores`; check the path.")
    # Read, not listed: what is damaged goes, and a good copy takes its place.
    known = {(key, shard) for key, shard, _ in into.shards() if into.read_shard(key, shard) is not None}
    before, taken = len(known), 0
    touched: set[str] = set()
    damaged: list[tuple[str, str, Path]] = []
    for source in sources:
        store = ScoreStore(source)
        for key, shard, path in store.shards():
            touched.add(key)
            if (key, shard) in known:
                continue
            content = _bytes(path)
            if rows_of(path.name, content) is None:
                damaged.append((key, shard, path))
                continue
            into.take_shard(key, path.name, content)
            known.add((key, shard))
            taken += 1
        for record_key, record in store.records():
            into.write_record(record_key, record)
    lost = tuple(path for key, shard, path in damaged if (key, shard) not in known)
    return Merged(taken, before, lost, tuple(_coverage(known, touched, [record for _, record in into.records()])))


def _coverage(known: set[tuple[str, str]], keys: set[str], records: Sequence[CorpusRecord]) -> Iterator[Coverage]:
    """Of each key and each training set that it has shards of, how many of them it has; then those of no such set."""
    scored: dict[str, set[str]] = defaultdict(set)
    for key, shard in known:
        scored[key].add(shard)
    remembered = {shard for record in records for shard in record.shards}
    for key in sorted(keys):
        weights = key.partition("-")[0]
        for record in records:
            if present := sum(shard in scored[key] for shard in record.shards):
                yield Coverage(weights, key, record.examples, present, len(record.shards))
        if others := scored[key] - remembered:
            yield Coverage(weights, key, None, len(others), None)


def _is_store(source: Path) -> bool:
    try:
        return (source / "scores").is_dir()
    except OSError as error:
        raise StoreError(
            f"A score store that can be read was expected at {source} ({error.strerror}); mend its permissions."
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"A file of scores that can be read was expected at {path} ({error.strerror}); mend its permissions, or"
            " merge without that store."
        ) from error
