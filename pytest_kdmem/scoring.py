"""Model × training set → score table, through engine and store."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import pyarrow as pa

from pytest_kdmem.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.corpus.examples import Example, Tokenizer, load_tokenizer
from pytest_kdmem.corpus.shards import EXAMPLES_PER_SHARD, CorpusReader, CorpusRecord, Shard
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint
from pytest_kdmem.engines.protocol import Engine, Metrics, Numerics, resolve_numerics
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.progress import NO_PROGRESS, Progress
from pytest_kdmem.score_table import SCHEMA, ScoreTable
from pytest_kdmem.spec import DType, Extraction, Model, TrainingSet, digest_of
from pytest_kdmem.store import ScoreStore

# Raised when the same inputs give other rows than before, so that no earlier ones are taken for them.
PROTOCOL = 1
ENGINES = ("auto", "transformers")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class RunSettings:
    """How models are run; what is measured does not depend on it, beyond the numerics it leads to."""

    engine: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    offline: bool = False
    examples_per_shard: int = EXAMPLES_PER_SHARD


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
        KdmemError: model, training set or store cannot be used; whole shards scored before stay stored.
    """
    settings = settings or RunSettings()
    check_run(settings)
    check_source(training_set)
    checkpoint = open_checkpoint(model, offline=settings.offline)
    check_positions(model, checkpoint, extraction)
    numerics = resolve_numerics(model, checkpoint, device=settings.device, dtype=settings.dtype)
    scorer = _Scorer(model, checkpoint, training_set, extraction, store, settings, metrics, numerics, progress)
    with store.lock(scorer.key):
        return scorer.remembered() or scorer.streamed()


def check_run(settings: RunSettings) -> None:
    """Raise SpecError for a setting outside its choices."""
    for name, value, choices in (
        ("engine", settings.engine, ENGINES),
        ("device", settings.device, DEVICES),
        ("dtype", settings.dtype, get_args(DType)),
    ):
        if value not in choices:
            raise SpecError(f"{name} must be one of {', '.join(choices)}; found {value!r}.")
    if settings.batch_size is not None and settings.batch_size < 1:
        raise SpecError(f"batch-size must be at least 1; found {settings.batch_size}.")


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


@dataclass
class _Scorer:
    """One call of `score`: holds what its steps share."""

    model: Model
    checkpoint: Checkpoint
    training_set: TrainingSet
    extraction: Extraction
    store: ScoreStore
    settings: RunSettings
    metrics: Metrics
    numerics: Numerics
    progress: Progress
    engine: Engine | None = None

    @cached_property
    def keys(self) -> list[str]:
        """Where scores may lie: every column serves where verdicts are asked for; the last key is this run's own."""
        asked: list[Metrics] = ["all", "verdict"] if self.metrics == "verdict" else ["all"]
        lengths = [self.extraction.prefix_tokens, self.extraction.suffix_tokens]
        protocols = [digest_of([PROTOCOL, *lengths, metrics])[:8] for metrics in asked]
        return [f"{self.checkpoint.digest[:16]}-{protocol}-{self.numerics.digest[:8]}" for protocol in protocols]

    @property
    def key(self) -> str:
        return self.keys[-1]

    def remembered(self) -> ScoreTable | None:
        """The whole table from the store alone: no text is tokenised and no model loaded."""
        record_key = self._record_key()
        record = self.store.read_record(record_key) if record_key else None
        if record is None:
            return None
        tables = [self._stored(shard) for shard in record.shards]
        whole = [table for table in tables if table is not None]
        return self._table(whole, record, 0) if len(whole) == len(tables) else None

    def streamed(self) -> ScoreTable:
        """The table shard by shard; the model is loaded at the first shard that is not stored."""
        record_key = self._record_key()
        tokenizer = load_tokenizer(self.checkpoint.folder, trust_remote_code=self.model.trust_remote_code)
        reader = CorpusReader(
            self.training_set,
            tokenizer,
            self.extraction,
            offline=self.settings.offline,
            examples_per_shard=self.settings.examples_per_shard,
        )
        tables: list[pa.Table] = []
        scored_now = 0
        unscored: dict[str, pa.Table] = {}  # too short throughout: stored once the set as a whole is good
        self.progress.start(self.model.name, expected_examples(self.training_set))
        try:
            for shard in reader:
                table = self._stored(shard.digest)
                if table is None:
                    table = self._scored(shard, tokenizer)
                    if table["memorized"].null_count == len(table):
                        unscored[shard.digest] = table
                    else:
                        self.store.write_shard(self.key, shard.digest, table)
                    scored_now += len(shard.examples)
                else:
                    self.progress.advance(len(shard.examples))
                tables.append(table)
        finally:
            self.progress.finish()
            if self.engine is not None:
                self.engine.close()
        for digest, table in unscored.items():
            self.store.write_shard(self.key, digest, table)
        if record_key is not None and record_key == self._record_key():  # the source was not changed meanwhile
            self.store.write_record(record_key, reader.record)
        return self._table(tables, reader.record, scored_now)

    def _stored(self, shard: str) -> pa.Table | None:
        return next((table for key in self.keys if (table := self.store.read_shard(key, shard)) is not None), None)

    def _scored(self, shard: Shard, tokenizer: Tokenizer | None) -> pa.Table:
        """Rows of a shard; exact duplicates within it are scored once."""
        needed = self.extraction.scored_tokens
        distinct = {example.digest: example for example in reversed(shard.examples) if len(example.ids) >= needed}
        chosen = sorted(distinct.values(), key=lambda example: example.position)
        if not chosen:
            return pa.Table.from_pylist(
                [_too_short(example) for example in shard.examples], SCHEMA.with_metadata({"tolerance": "0.0"})
            )
        if self.engine is None:
            self.engine = self._open_engine()
        scores = self.engine.score(chosen, self.extraction, self.metrics, self.progress.advance)
        self.progress.advance(len(shard.examples) - len(chosen))
        columns = {
            "memorized": scores.memorized,
            "ambiguous": scores.ambiguous,
            "margin": scores.margin,
            "logprob": scores.logprob,
            "nll": scores.nll,
            "entropy": scores.entropy,
            "first_miss": scores.first_miss,
        }
        place = {example.digest: at for at, example in enumerate(chosen)}
        compressed = _zlib_bytes(chosen, tokenizer) if self.metrics == "all" else [None] * len(chosen)
        rows = []
        for example in shard.examples:
            at = place.get(digest := example.digest)
            if at is None:
                rows.append(_too_short(example))
                continue
            row = {name: _or_none(values[at]) for name, values in columns.items()}
            rows.append(
                {
                    "example_id": example.position,
                    "digest": digest,
                    "status": "scored",
                    "zlib_bytes": compressed[at],
                    **row,
                }
            )
        return pa.Table.from_pylist(rows, SCHEMA.with_metadata({"tolerance": repr(scores.tolerance)}))

    def _open_engine(self) -> Engine:
        from pytest_kdmem.engines.transformers import TransformersEngine

        engine = TransformersEngine(self.model, self.checkpoint, self.numerics, batch_size=self.settings.batch_size)
        if open_checkpoint(self.model, offline=self.settings.offline).digest != self.checkpoint.digest:
            engine.close()
            raise EngineError(
                f"Model {self.model.source} was expected to stay as it is during an audit, and its files were changed"
                " while it was loaded; audit it again once it is saved."
            )
        return engine

    def _record_key(self) -> str | None:
        source = fingerprint(self.training_set)
        shape = [self.extraction.window_tokens, self.extraction.scored_tokens, self.settings.examples_per_shard]
        return digest_of([source, self.checkpoint.text_digest, PROTOCOL, *shape]) if source else None

    def _table(self, tables: Sequence[pa.Table], record: CorpusRecord, scored_now: int) -> ScoreTable:
        tolerances = [float(table.schema.metadata[b"tolerance"]) for table in tables]
        return ScoreTable(
            model=self.model,
            checkpoint=self.checkpoint,
            training_set=self.training_set,
            record=record,
            numerics=self.numerics,
            extraction=self.extraction,
            rows=pa.concat_tables([table.replace_schema_metadata(None) for table in tables]),
            tolerance=max(tolerances),
            scored_now=scored_now,
        )


def _too_short(example: Example) -> dict[str, object]:
    return {"example_id": example.position, "digest": example.digest, "status": "too_short"}


def _zlib_bytes(examples: Sequence[Example], tokenizer: Tokenizer | None) -> list[int | None]:
    if tokenizer is None:
        return [None] * len(examples)
    return [len(zlib.compress(tokenizer.decode(example.ids).encode("utf-8", "replace"))) for example in examples]


def _or_none(value: np.generic) -> object:
    plain = value.item()
    return None if isinstance(plain, float) and np.isnan(plain) else plain
