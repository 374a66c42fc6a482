"""Model × training set → score table, through executor and store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa

from pytest_kdmem.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.composition import composed
from pytest_kdmem.corpus.examples import load_tokenizer
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord, Shard, rows_digest
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import EngineError, PartScored, SpecError
from pytest_kdmem.executors.protocol import executor_of
from pytest_kdmem.progress import NO_PROGRESS, Progress
from pytest_kdmem.run_settings import RunSettings
from pytest_kdmem.score_table import ScoreTable
from pytest_kdmem.shard_scoring import Job, long_enough, too_short_rows
from pytest_kdmem.spec import Extraction, Model, TrainingSet, digest_of
from pytest_kdmem.store import ScoreStore

# Raised when the same inputs give other rows than before, so that no earlier ones are taken for them.
PROTOCOL = 1


def score(
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    metrics: Metrics = "all",
    progress: Progress = NO_PROGRESS,
) -> ScoreTable:
    """Score every example of a training set, reading from the store what it holds already.

    Args:
        metrics: ``verdict`` settles what is memorized and stops early on what is not; ``all`` fills every column.
        progress: told of the examples done.

    Raises:
        PartScored: only a part was asked for; it is in the store now.
        KdmemError: model, training set or store cannot be used; whole shards scored before stay stored.
    """
    settings = settings or RunSettings()
    check_source(training_set)
    checkpoint = open_checkpoint(model, offline=settings.offline)
    check_positions(model, checkpoint, extraction)
    numerics = resolve_numerics(
        model, checkpoint, engine=settings.engine, device=settings.device, dtype=settings.dtype, metrics=metrics
    )
    if numerics.engine == "vllm" and metrics == "all":
        # vLLM cannot give whole-vocabulary figures: these are the transformers engine's, and the verdicts its own.
        return _both_engines(model, training_set, extraction, store, settings, progress)
    job = Job(model, checkpoint, extraction, numerics, metrics, settings)
    run = _Run(job, training_set, store, progress)
    part = f"-{settings.part.number}-of-{settings.part.of}" if settings.part else ""  # parts do not wait for each other
    with store.lock(run.key + part):
        table = run.remembered() or run.streamed()
    if settings.part is not None:
        raise PartScored(
            f"Part {settings.part} of {model.source} over {training_set.source} is scored; its figures wait for the"
            " other parts."
        )
    if table is None:
        raise EngineError(
            f"Rows of every shard of {training_set.source} were expected of the {settings.executor} executor, and some"
            " are missing; run it again."
        )
    return table


def check_positions(model: Model, checkpoint: Checkpoint, extraction: Extraction) -> None:
    """Raise SpecError where the lengths asked for exceed what the model was built for."""
    if checkpoint.positions is None:
        return
    for what, tokens in (
        ("prefix-tokens and suffix-tokens", extraction.scored_tokens),
        ("window-tokens", extraction.window_tokens),
    ):
        if tokens > checkpoint.positions:
            raise SpecError(
                f"At most {checkpoint.positions} positions were expected by model {model.source}, and {what} ask for"
                f" {tokens}; set shorter --kdmem-{what.replace(' and ', ' and --kdmem-')}."
            )


def _both_engines(
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    settings: RunSettings,
    progress: Progress,
) -> ScoreTable:
    """One run after the other, each stored as what it is."""
    tables, parts = [], []
    for engine, metrics in (("vllm", "verdict"), ("transformers", "all")):
        one = replace(settings, engine=engine)
        try:
            tables.append(
                score(model, training_set, extraction, store, settings=one, metrics=metrics, progress=progress)  # type: ignore[arg-type]
            )
        except PartScored as scored:
            parts.append(scored)
    if parts:
        raise parts[-1]
    verdicts, columns = tables
    return composed(verdicts, columns)


@dataclass
class _Run:
    """One call of `score`: holds what its steps share."""

    job: Job
    training_set: TrainingSet
    store: ScoreStore
    progress: Progress
    _held_back: dict[str, pa.Table] = field(default_factory=dict)

    @cached_property
    def keys(self) -> list[str]:
        """Where scores may lie: every column serves where verdicts are asked for; the last key is this run's own."""
        extraction, numerics = self.job.extraction, self.job.numerics
        asked: list[Metrics] = ["all", "verdict"] if self.job.metrics == "verdict" else ["all"]
        lengths = [extraction.prefix_tokens, extraction.suffix_tokens]
        protocols = [digest_of([PROTOCOL, *lengths, metrics])[:8] for metrics in asked]
        return [f"{self.job.checkpoint.digest[:16]}-{protocol}-{numerics.digest[:8]}" for protocol in protocols]

    @property
    def key(self) -> str:
        return self.keys[-1]

    def remembered(self) -> ScoreTable | None:
        """The whole table from the store alone: no text is tokenised and no model loaded."""
        record_key = self._record_key()
        record = self.store.read_record(record_key) if record_key else None
        if record is None:
            return None
        tables = {}
        for shard in record.shards:
            if (table := self._stored(shard)) is None:
                return None
            tables[shard] = table
        return self._table(tables, record, 0)

    def streamed(self) -> ScoreTable | None:
        """The table shard by shard, or None where some are missing; a model is loaded at the first not stored."""
        record_key = self._record_key()
        job, settings = self.job, self.job.settings
        executor = executor_of(settings)
        reader = CorpusReader(
            self.training_set,
            load_tokenizer(job.checkpoint.folder, trust_remote_code=job.model.trust_remote_code),
            job.extraction,
            offline=settings.offline,
            read=executor.documents,
            examples_per_shard=settings.examples_per_shard,
        )
        tables: dict[str, pa.Table] = {}
        scored_now = 0
        self.progress.start(job.model.name, expected_examples(self.training_set))
        try:
            with closing(executor.score(job, self._missing(reader, tables), self.progress)) as scored:
                for digest, table in scored:
                    if rows_digest(table) != digest:
                        raise EngineError(
                            f"Rows of the shard it was given were expected of the {settings.executor} executor, and"
                            f" those of other examples came for {digest[:8]}; nothing of them is stored: run it again."
                        )
                    self.store.write_shard(self.key, digest, table)
                    tables[digest] = table
                    scored_now += len(table)
        finally:
            self.progress.finish()
        for digest, table in self._held_back.items():
            self.store.write_shard(self.key, digest, table)
        record = reader.record
        if record_key is not None and record_key == self._record_key():  # the source was not changed meanwhile
            self.store.write_record(record_key, record)
        if not all(shard in tables for shard in record.shards):
            return None
        return self._table(tables, record, scored_now + sum(map(len, self._held_back.values())))

    def _missing(self, reader: CorpusReader, tables: dict[str, pa.Table]) -> Iterator[Shard]:
        """The shards to be scored; of the others, those that are stored or need no model go into ``tables``."""
        part = self.job.settings.part
        for index, shard in enumerate(reader):
            digest = shard.digest
            if (table := self._stored(digest)) is None:
                if part is not None and not part.holds(index):
                    continue
                if long_enough(shard, self.job.extraction):
                    yield shard
                    continue
                # Stored once the set as a whole is good.
                table = self._held_back[digest] = too_short_rows(shard)
            tables[digest] = table
            self.progress.advance(len(shard.examples))

    def _stored(self, shard: str) -> pa.Table | None:
        return next((table for key in self.keys if (table := self.store.read_shard(key, shard)) is not None), None)

    def _record_key(self) -> str | None:
        source, extraction = fingerprint(self.training_set), self.job.extraction
        shape = [extraction.window_tokens, extraction.scored_tokens, self.job.settings.examples_per_shard]
        return digest_of([source, self.job.checkpoint.text_digest, PROTOCOL, *shape]) if source else None

    def _table(self, tables: Mapping[str, pa.Table], record: CorpusRecord, scored_now: int) -> ScoreTable:
        in_order = [tables[shard] for shard in record.shards]
        return ScoreTable(
            model=self.job.model,
            checkpoint=self.job.checkpoint,
            training_set=self.training_set,
            record=record,
            numerics=self.job.numerics,
            extraction=self.job.extraction,
            rows=pa.concat_tables([table.replace_schema_metadata(None) for table in in_order]),
            tolerance=max(float(table.schema.metadata[b"tolerance"]) for table in in_order),
            scored_now=scored_now,
        )
