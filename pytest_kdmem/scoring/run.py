"""One run over a training set: stored shards are read, the others are scored and stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord, Shard, rows_digest
from pytest_kdmem.corpus.sources import expected_examples, fingerprint
from pytest_kdmem.corpus.special_tokens import special_tokens_by_card
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.job import Task, scorable_examples
from pytest_kdmem.scoring.reading_guard import ReadingGuard
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs give other rows than before, so that stored rows of before are not used.
PROTOCOL = 1
# Raised when the same text can become other token ids than before, so that corpora are read again.
READING = 1

# A shard's rows in each of the tables that a task fills.
Parts = tuple[pa.Table, ...]


@dataclass(frozen=True)
class RunResult:
    """The rows of a run.

    Attributes:
        tables: Of each table that the task fills, the rows of every shard, in the order of the corpus.
        record: The shards of the training set and its counts.
        scored_now: Number of examples that were scored in this run and not read from the store.
        notes: For each model of the task, warnings about how the training set was read.
    """

    tables: tuple[list[pa.Table], ...]
    record: CorpusRecord
    scored_now: int
    notes: tuple[tuple[str, ...], ...] = ()


@dataclass
class ScoreRun:
    """One run of a task over a training set.

    Attributes:
        task: What to score with.
        keys: For each table that the task fills, the store's keys under which its rows may lie; new rows are stored
            under the last.
        training_set: What to score.
        store: Where rows are read and stored.
        executor: Where shards are scored.
        progress: Receives the number of examples done.
    """

    task: Task
    keys: tuple[tuple[str, ...], ...]
    training_set: TrainingSet
    store: ScoreStore
    executor: Executor
    progress: Progress
    _too_short: dict[str, Parts] = field(default_factory=dict)

    def read_all(self) -> RunResult | None:
        """All rows from the store, or None if any is missing: no text is tokenized and no model loaded."""
        record_key = self.record_key()
        record = self.store.read_record(record_key) if record_key else None
        if record is None:
            return None
        tables = {}
        for shard in record.shards:
            if (parts := self._read_parts(shard)) is None:
                return None
            tables[shard] = parts
        return self._result(tables, record, 0)

    def score_missing(self, guard: ReadingGuard | None = None) -> RunResult | None:
        """Read stored shards and score the others; models are loaded when the first of these is reached.

        Args:
            guard: Checks with the loaded models how the training set is read, before more than a shard is scored.

        Returns:
            All rows, or None if only a part of the shards was to be scored and others are missing.

        Raises:
            KdmemError: The source cannot be read, or a model cannot be loaded or run.
        """
        record_key = self.record_key()
        job = self.task.jobs[0]
        reader = CorpusReader(
            self.training_set,
            open_tokenizer(job.model, job.checkpoint.folder, self.training_set),
            job.extraction,
            offline=job.settings.offline,
            read=self.executor.documents,
            examples_per_shard=job.settings.examples_per_shard,
        )
        tables: dict[str, Parts] = {}
        names = " and ".join(job.model.name for job in self.task.jobs)
        self.progress.start(names, expected_examples(self.training_set))
        try:
            scored_now = self._score(reader, tables, guard)
        finally:
            self.progress.finish()
        for shard, parts in self._too_short.items():
            self._store_parts(shard, parts)
        record = replace(reader.record, read_as=record_key or "")
        if record_key is not None and record_key == self.record_key():  # the source has not changed meanwhile
            self.store.write_record(record_key, record)
        if not all(shard in tables for shard in record.shards):
            return None
        too_short = sum(len(parts[0]) for parts in self._too_short.values())
        return self._result(tables, record, scored_now + too_short)

    def _score(self, reader: CorpusReader, tables: dict[str, Parts], guard: ReadingGuard | None) -> int:
        """Score the shards that are not stored, add all to ``tables``, and return the number of scored examples."""
        scored_now = 0
        missing = self._missing(reader, tables)
        shards = guard.with_losses(missing) if guard is not None else missing
        with closing(self.executor.score(self.task, shards, self.progress)) as scored:
            for shard, rows in scored:
                if guard is not None and guard.takes(shard, rows):
                    continue
                if rows_digest(rows) != shard:
                    raise EngineError(
                        "Rows of the shard it was given were expected of the"
                        f" {self.task.jobs[0].settings.executor} executor, and those of other examples came for"
                        f" {shard[:8]}; nothing of them is stored: run it again."
                    )
                tables[shard] = self._store_parts(shard, self.task.split(rows))
                scored_now += len(rows)
        return scored_now

    def _missing(self, reader: CorpusReader, tables: dict[str, Parts]) -> Iterator[Shard]:
        """The shards to score; those that are stored or hold too short examples only are added to ``tables``."""
        job = self.task.jobs[0]
        selected = job.settings.part
        for index, shard in enumerate(reader):
            digest = shard.digest
            if (parts := self._read_parts(digest)) is None:
                if selected is not None and not selected.contains(index):
                    continue
                if scorable_examples(shard, job.extraction):
                    yield shard
                    continue
                # Stored only at the end: the reader refuses a set without a long example when it has read it all.
                parts = self._too_short[digest] = self.task.split(self.task.too_short_rows(shard))
            tables[digest] = parts
            self.progress.advance(len(shard.examples))

    def _read_parts(self, shard: str) -> Parts | None:
        """A shard's stored rows in every table, or None if one of the tables lacks them."""
        stored = [self._read_part(keys, shard) for keys in self.keys]
        parts = tuple(part for part in stored if part is not None)
        return parts if len(parts) == len(stored) else None

    def _read_part(self, keys: tuple[str, ...], shard: str) -> pa.Table | None:
        return next((table for key in keys if (table := self.store.read_shard(key, shard)) is not None), None)

    def _store_parts(self, shard: str, parts: Parts) -> Parts:
        """Store a shard's rows in every table, and return them; rows that a table holds already stay and are used."""
        kept = []
        for keys, part in zip(self.keys, parts, strict=True):
            # With one table only, the shard would not have been scored if its rows were stored.
            stored = self._read_part(keys, shard) if len(parts) > 1 else None
            if stored is None:
                self.store.write_shard(keys[-1], shard, part)
            kept.append(part if stored is None else stored)
        return tuple(kept)

    def record_key(self) -> str | None:
        """Digest of the source's content and all that divides it into shards, or None if it has no digest."""
        job = self.task.jobs[0]
        source, extraction = fingerprint(self.training_set), job.extraction
        if source is None:
            return None
        lengths = [extraction.window_tokens, extraction.scored_tokens, job.settings.examples_per_shard]
        special = self.training_set.add_special_tokens
        by_card = special_tokens_by_card(job.checkpoint.folder, self.training_set) if special is None else None
        return digest_of([source, job.checkpoint.text_digest, PROTOCOL, READING, special, by_card, *lengths])

    def _result(self, tables: dict[str, Parts], record: CorpusRecord, scored_now: int) -> RunResult:
        in_order = [tables[shard] for shard in record.shards]
        return RunResult(tuple(list(parts) for parts in zip(*in_order, strict=True)), record, scored_now)


def executor_of(settings: RunSettings) -> Executor:
    """The executor that the settings name."""
    if settings.executor == "ray":
        from pytest_kdmem.scoring.executors.ray import RayExecutor

        return RayExecutor(workers=settings.workers, cpus_per_worker=settings.cpus_per_worker)
    from pytest_kdmem.scoring.executors.local import LocalExecutor

    return LocalExecutor()
