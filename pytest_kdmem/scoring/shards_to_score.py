"""Goes through the shards of a run: hands out what is to be scored of them, and puts their rows together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.copies import CopyFinder, Parts, Remainder
from pytest_kdmem.scoring.job import Task, scorable_examples
from pytest_kdmem.scoring.stored_parts import StoredParts


class ShardsToScore:
    """The shards of one run, in order: those that are stored, and what is to be scored of the others.

    Args:
        task: What to score with.
        stored: Where rows are read and stored.
        progress: Receives the number of examples that need not be scored.

    Attributes:
        tables: By its digest, the rows of every shard that is stored or complete by now.
    """

    def __init__(self, task: Task, stored: StoredParts, progress: Progress) -> None:
        self.tables: dict[str, Parts] = {}
        self._task = task
        self._stored = stored
        self._progress = progress
        self._too_short: dict[str, Parts] = {}
        # The shards of which examples are scored now, by the digest of what is scored of each.
        self._in_flight: dict[str, Remainder] = {}
        # Shards whose own rows are scored, and whose other rows are copies of rows that may not be scored yet.
        self._waiting: list[tuple[Remainder, Parts]] = []
        self._scored = 0

    def missing(self, shards: Iterable[Shard]) -> Iterator[Shard]:
        """What is to be scored of the shards of a training set; `add` takes its rows, in any order."""
        job = self._task.jobs[0]
        finder = CopyFinder(self.tables, job.extraction)
        for index, shard in enumerate(shards):
            is_selected = job.settings.part is None or job.settings.part.contains(index)
            parts = self._stored.read(shard.digest)
            if parts is not None:
                self.tables[shard.digest] = parts
                self._progress.advance(len(shard.examples))
            if not is_selected:
                continue  # whether others have stored it already must change no row of this part
            remainder = finder.remainder(shard)
            if parts is None:
                yield from self._to_score(remainder)

    def _to_score(self, remainder: Remainder) -> Iterator[Shard]:
        own = remainder.own
        if scorable_examples(own, self._task.jobs[0].extraction):
            self._progress.advance(len(remainder.positions) - len(own.examples))
            self._in_flight[own.digest] = remainder
            yield own
            return
        self._progress.advance(len(remainder.positions))
        parts = self._task.split(self._task.too_short_rows(own))
        if remainder.copied:
            self._complete(remainder, parts)
        else:
            # Stored only at the end: the reader refuses a set without a long example when it has read it all.
            self.tables[remainder.digest] = self._too_short[remainder.digest] = parts

    def add(self, digest: str, rows: pa.Table) -> None:
        """Take the rows of what was to be scored of a shard.

        Raises:
            EngineError: The rows are those of other examples.
            StoreError: The rows cannot be stored.
        """
        if rows_digest(rows) != digest or digest not in self._in_flight:
            raise EngineError(
                "Rows of the shard it was given were expected of the"
                f" {self._task.jobs[0].settings.executor} executor, and those of other examples came for"
                f" {digest[:8]}; nothing of them is stored: run it again."
            )
        self._complete(self._in_flight.pop(digest), self._task.split(rows))

    def finish(self) -> int:
        """Store what waits for the end, and return the number of examples whose rows were not read from the store."""
        for digest, parts in self._too_short.items():
            self._stored.write(digest, parts)
            self._scored += len(parts[0])
        return self._scored

    def _complete(self, remainder: Remainder, own: Parts) -> None:
        """Store a shard, and those that waited for it, once the rows of which it has copies are there."""
        waiting = [*self._waiting, (remainder, own)]
        progressed = True
        while progressed:
            progressed, still_waiting = False, []
            for entry in waiting:
                if all(copied.source in self.tables for copied in entry[0].copied):
                    self._store(*entry)
                    progressed = True
                else:
                    still_waiting.append(entry)
            waiting = still_waiting
        self._waiting = waiting

    def _store(self, remainder: Remainder, own: Parts) -> None:
        parts = remainder.with_copies(own, self.tables)
        self.tables[remainder.digest] = self._stored.write(remainder.digest, parts)
        self._scored += len(remainder.positions)
