"""One run over a training set: shards that are stored are read, the others scored and stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.examples import load_tokenizer
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord, Shard, rows_digest
from pytest_kdmem.corpus.sources import expected_examples, fingerprint
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.job import Task, long_enough
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs give other rows than before, so that no earlier ones are taken for them.
PROTOCOL = 1


@dataclass(frozen=True)
class Scored:
    """Of each table that a run gives, the rows of every shard in the order of the corpus."""

    tables: tuple[list[pa.Table], ...]
    record: CorpusRecord
    scored_now: int


@dataclass
class ScoreRun:
    """One run of a task; holds what its steps share.

    ``keys`` tells of each table that the task's rows are split into where they may lie, the run's own place last.
    """

    task: Task
    keys: tuple[tuple[str, ...], ...]
    training_set: TrainingSet
    store: ScoreStore
    progress: Progress
    _held_back: dict[str, tuple[pa.Table, ...]] = field(default_factory=dict)

    def remembered(self) -> Scored | None:
        """All rows from the store alone: no text is tokenised and no model loaded."""
        record_key = self._record_key()
        record = self.store.read_record(record_key) if record_key else None
        if record is None:
            return None
        tables = {}
        for shard in record.shards:
            if (found := self._stored(shard)) is None:
                return None
            tables[shard] = found
        return self._scored(tables, record, 0)

    def streamed(self) -> Scored | None:
        """All rows shard by shard, or None where some are missing; models are loaded at the first not stored.

        Raises:
            KdmemError: the source cannot be read, or a model not loaded or run.
        """
        record_key = self._record_key()
        job = self.task.jobs[0]
        executor = executor_of(job.settings)
        reader = CorpusReader(
            self.training_set,
            load_tokenizer(job.checkpoint.folder, trust_remote_code=job.model.trust_remote_code),
            job.extraction,
            offline=job.settings.offline,
            read=executor.documents,
            examples_per_shard=job.settings.examples_per_shard,
        )
        tables: dict[str, tuple[pa.Table, ...]] = {}
        scored_now = 0
        self.progress.start(
            " and ".join(one.model.name for one in self.task.jobs), expected_examples(self.training_set)
        )
        try:
            with closing(executor.score(self.task, self._missing(reader, tables), self.progress)) as scored:
                for digest, rows in scored:
                    if rows_digest(rows) != digest:
                        raise EngineError(
                            f"Rows of the shard it was given were expected of the {job.settings.executor} executor, and"
                            f" those of other examples came for {digest[:8]}; nothing of them is stored: run it again."
                        )
                    tables[digest] = self._kept(digest, self.task.split(rows))
                    scored_now += len(rows)
        finally:
            self.progress.finish()
        for digest, parts in self._held_back.items():
            self._kept(digest, parts)
        record = reader.record
        if record_key is not None and record_key == self._record_key():  # the source was not changed meanwhile
            self.store.write_record(record_key, record)
        if not all(shard in tables for shard in record.shards):
            return None
        held_back = sum(len(parts[0]) for parts in self._held_back.values())
        return self._scored(tables, record, scored_now + held_back)

    def _missing(self, reader: CorpusReader, tables: dict[str, tuple[pa.Table, ...]]) -> Iterator[Shard]:
        """The shards to be scored; of the others, those that are stored or need no model go into ``tables``."""
        job = self.task.jobs[0]
        part = job.settings.part
        for index, shard in enumerate(reader):
            digest = shard.digest
            if (found := self._stored(digest)) is None:
                if part is not None and not part.contains(index):
                    continue
                if long_enough(shard, job.extraction):
                    yield shard
                    continue
                # Stored once the set as a whole is good.
                found = self._held_back[digest] = self.task.split(self.task.too_short_rows(shard))
            tables[digest] = found
            self.progress.advance(len(shard.examples))

    def _stored(self, shard: str) -> tuple[pa.Table, ...] | None:
        """A shard's part in every table, or None where one of them lacks it."""
        found = [self._stored_part(keys, shard) for keys in self.keys]
        whole = tuple(part for part in found if part is not None)
        return whole if len(whole) == len(found) else None

    def _stored_part(self, keys: tuple[str, ...], shard: str) -> pa.Table | None:
        return next((table for key in keys if (table := self.store.read_shard(key, shard)) is not None), None)

    def _kept(self, shard: str, parts: tuple[pa.Table, ...]) -> tuple[pa.Table, ...]:
        """Store a shard's part in every table; one that is there already stays, and goes before what came now."""
        kept = []
        for keys, part in zip(self.keys, parts, strict=True):
            # Of one table alone the shard would not have been scored, had it been there.
            known = self._stored_part(keys, shard) if len(parts) > 1 else None
            if known is None:
                self.store.write_shard(keys[-1], shard, part)
            kept.append(part if known is None else known)
        return tuple(kept)

    def _record_key(self) -> str | None:
        job = self.task.jobs[0]
        source, extraction = fingerprint(self.training_set), job.extraction
        shape = [extraction.window_tokens, extraction.scored_tokens, job.settings.examples_per_shard]
        return digest_of([source, job.checkpoint.text_digest, PROTOCOL, *shape]) if source else None

    def _scored(self, tables: dict[str, tuple[pa.Table, ...]], record: CorpusRecord, scored_now: int) -> Scored:
        in_order = [tables[shard] for shard in record.shards]
        return Scored(tuple(list(parts) for parts in zip(*in_order, strict=True)), record, scored_now)


def executor_of(settings: RunSettings) -> Executor:
    """The executor that was asked for.

    Raises:
        EngineError: it is not installed, or cannot be reached.
    """
    if settings.executor == "ray":
        from pytest_kdmem.scoring.executors.ray import RayExecutor

        return RayExecutor(workers=settings.workers, cpus_per_worker=settings.cpus_per_worker)
    from pytest_kdmem.scoring.executors.local import LocalExecutor

    return LocalExecutor()
