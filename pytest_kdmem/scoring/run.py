"""One run over a training set: stored shards are read, the others are scored and stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.base.read_ahead import read_ahead
from pytest_kdmem.corpus.chat_source import chat_digests
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord, Shard
from pytest_kdmem.corpus.sources import expected_examples, fingerprint
from pytest_kdmem.corpus.special_tokens import special_tokens_by_card
from pytest_kdmem.corpus.tokenizer import Tokenizer, open_tokenizer
from pytest_kdmem.scoring.documents_guard import ReadingNotes
from pytest_kdmem.scoring.drawn_sets import DRAWN_SETS, DrawnSet, drawn_key, reader_of
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.scoring.reading_guard import ReadingGuard
from pytest_kdmem.scoring.shards_to_score import ShardsToScore
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.stored_parts import StoredParts, Tables
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs give other rows than before, so that stored rows of before are not used.
PROTOCOL = 1
# Raised when the same text can become other token ids than before, so that corpora are read again.
READING = 1
DOCUMENTS_BETWEEN_STATUSES = 1000


@dataclass(frozen=True)
class RunResult:
    """The rows of a run.

    Attributes:
        tables: Of each table that the task fills, the rows of every shard, in the order of the corpus and joined.
        record: The shards of the training set and its counts.
        scored_now: Number of examples that were scored in this run and not read from the store.
        notes: For each model of the task, what its losses tell about how the training set was read.
    """

    tables: Tables
    record: CorpusRecord
    scored_now: int
    notes: tuple[ReadingNotes, ...] = ()


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
    _meter: ReadMeter = field(default_factory=ReadMeter, init=False)
    _draws: bool = field(default=False, init=False)

    def read_all(self) -> RunResult | None:
        """All rows from the store, or None if any is missing: no text is tokenized and no model loaded."""
        record_key = self.record_key()
        record = self.store.read_record(record_key) if record_key else None
        if record is None or not record.counts_copies:
            return None
        tables = self._stored.read_all(record.shards)
        return None if tables is None else RunResult(tables, record, 0)

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
        tokenizer, *others = (open_tokenizer(each.model, each.checkpoint, self.training_set) for each in self.task.jobs)
        for other in others:  # of models that are scored over the same rows
            if tokenizer is not None and other is not None:
                tokenizer.hold_to(other)
        drawn = self._drawn_before(record_key, tokenizer)
        shards = ShardsToScore(self.task, self._stored, self.progress)
        names = " and ".join(each.model.name for each in self.task.jobs)
        expected = expected_examples(self.training_set, job.extraction.window_tokens)
        self.progress.start(names, expected)
        try:
            if drawn is None:
                record = self._read(shards, guard, record_key, tokenizer, is_known=expected is not None)
            else:
                record = self._score_again(shards, drawn, guard)
        finally:
            self.progress.finish()
        scored_now = shards.finish()
        if record_key is not None and record_key == self.record_key():  # the source has not changed meanwhile
            self.store.write_record(record_key, record)
        if not all(shard in shards.tables for shard in record.shards):
            return None
        return RunResult(self._stored.join(shards.tables, record.shards), record, scored_now)

    def _drawn_before(self, record_key: str | None, tokenizer: Tokenizer | None) -> DrawnSet | None:
        """The sample as a run of another model drew it, if the same tokenizer read it; else None."""
        if record_key is None:
            return None
        job = self.task.jobs[0]
        drawn = DRAWN_SETS.find(drawn_key(record_key, job.model))
        return drawn if drawn is not None and drawn.read_by == reader_of(tokenizer, job.checkpoint) else None

    def _read(
        self,
        shards: ShardsToScore,
        guard: ReadingGuard | None,
        record_key: str | None,
        tokenizer: Tokenizer | None,
        *,
        is_known: bool,
    ) -> CorpusRecord:
        """Read the training set and score what is missing; a sample that is drawn is kept for other models."""
        job = self.task.jobs[0]
        reader = CorpusReader(
            self.training_set,
            tokenizer,
            job.extraction,
            offline=job.settings.offline,
            read=guard.watched(self._documents) if guard is not None else self._documents,
            examples_per_shard=job.settings.examples_per_shard,
        )
        self.progress.status("reading the training set")
        self._draws = self.training_set.sample is not None
        drawn: list[Shard] = []
        self._score(shards, self._counted(reader, drawn, is_known=is_known), guard)
        record = replace(reader.record, read_as=record_key or "")
        if drawn and record_key is not None and record_key == self.record_key():
            content, documents = fingerprint(self.training_set), guard.drawn_documents if guard is not None else None
            read_by = reader_of(tokenizer, job.checkpoint)
            kept = DrawnSet(content or "", record, tuple(drawn), documents, read_by)
            DRAWN_SETS.keep(drawn_key(record_key, job.model), kept)
        return record

    def _score_again(self, shards: ShardsToScore, drawn: DrawnSet, guard: ReadingGuard | None) -> CorpusRecord:
        """Score what is missing of a sample that was drawn for another model."""
        if guard is not None and drawn.documents is not None:
            guard.take_drawn(drawn.documents)
        self.progress.expect(sum(len(shard.examples) for shard in drawn.shards), is_estimate=False)
        self._score(shards, iter(drawn.shards), guard)
        return drawn.record

    def _score(self, shards: ShardsToScore, all_shards: Iterator[Shard], guard: ReadingGuard | None) -> None:
        """Score the shards that are not stored."""
        read = read_ahead(all_shards) if self.executor.scores_here else all_shards
        missing = shards.missing(read)
        if guard is not None:
            missing = guard.with_losses(missing)
        with closing(self.executor.score(self.task, missing, self.progress)) as scored:
            for digest, rows in scored:
                if guard is None or not guard.takes(digest, rows):
                    shards.add(digest, rows)

    def _documents(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
        """The documents of a source; while a sample is drawn of them, the progress tells how much of them is read."""
        documents = self.executor.documents(training_set, offline=offline, meter=self._meter)
        for number, document in enumerate(documents):
            if self._draws and number % DOCUMENTS_BETWEEN_STATUSES == 0 and self._meter.share:
                self.progress.status(f"reading the training set, {self._meter.share:.0%} so far")
            yield document

    def _counted(self, reader: CorpusReader, drawn: list[Shard], *, is_known: bool) -> Iterator[Shard]:
        """The shards of a reader; with each, the number of examples is estimated for the progress unless it is known.

        Once all are read, it is known, although some of them may still be scored. Those of a sample are added to
        ``drawn``.
        """
        examples_read = 0
        for shard in reader:
            self._draws = False
            examples_read += len(shard.examples)
            if not is_known and (examples := self._meter.estimate(examples_read)) is not None:
                self.progress.expect(examples, is_estimate=True)
            if self.training_set.sample is not None:
                drawn.append(shard)
            yield shard
        self.progress.expect(examples_read, is_estimate=False)

    @property
    def _stored(self) -> StoredParts:
        return StoredParts(self.store, self.keys, self.task.schemas)

    def record_key(self) -> str | None:
        """Digest of the source's content and all that divides it into shards, or None if it has no digest."""
        job = self.task.jobs[0]
        source, extraction = fingerprint(self.training_set), job.extraction
        if source is None:
            return None
        lengths = [extraction.window_tokens, extraction.scored_tokens, job.settings.examples_per_shard]
        special = self.training_set.add_special_tokens
        by_card = special_tokens_by_card(job.checkpoint, self.training_set) if special is None else None
        chat = chat_digests(self.training_set, job.checkpoint, extraction)
        return digest_of([source, job.checkpoint.text_digest, PROTOCOL, READING, special, by_card, *lengths, *chat])


def executor_of(settings: RunSettings) -> Executor:
    """The executor that the settings name."""
    if settings.executor == "ray":
        from pytest_kdmem.scoring.executors.ray import RayExecutor

        return RayExecutor(workers=settings.workers, cpus_per_worker=settings.cpus_per_worker)
    from pytest_kdmem.scoring.executors.local import LocalExecutor

    return LocalExecutor()
