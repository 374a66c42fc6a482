"""Scores shards of examples by one model: the work that every executor hands to its workers."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.tokenizer import Tokenizer, load_decoder
from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Metrics, Scores
from pytest_kdmem.scoring.loss_shard import LossShard, loss_rows
from pytest_kdmem.scoring.table import SCHEMA, TOLERANCE_KEY, schema_of, score_metadata
from pytest_kdmem.scoring.window_columns import window_columns
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

Rows = npt.NDArray[np.int64]


class Scorer(Protocol):
    """Loaded models that turn shards into rows."""

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Score a shard: a row for each example, with at least ``example_id`` and ``digest``; or the losses of a
        `LossShard`, by `loss_rows`.

        Args:
            shard: The examples to score.
            advance: Receives the number of examples done, every few examples.

        Raises:
            EngineError: A model gives NaN, or runs out of memory.
        """

    def close(self) -> None:
        """Free the memory of the models."""


class Task(Protocol):
    """Everything a worker needs to score any shard of a run."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The job of each model; device and settings are the same in all."""

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        """The columns of each of the tables that are stored apart."""

    def mapped(self, change: Callable[[Job], Job]) -> Self:
        """The same task with a function applied to each model's job."""

    def open(self) -> Scorer:
        """Load the models.

        Raises:
            EngineError: A model cannot be loaded.
        """

    def too_short_rows(self, shard: Shard) -> pa.Table:
        """Rows of a shard in which every example is too short to be scored."""

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        """Split the rows of a shard into the tables that are stored apart."""


@dataclass(frozen=True)
class Job:
    """Everything a worker needs to score a shard by one model."""

    model: Model
    checkpoint: Checkpoint
    extraction: Extraction
    numerics: Numerics
    metrics: Metrics
    settings: RunSettings

    @property
    def jobs(self) -> tuple[Job, ...]:
        return (self,)

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        return (schema_of(self.metrics),)

    def mapped(self, change: Callable[[Job], Job]) -> Job:
        return change(self)

    def open(self) -> ShardScorer:
        return ShardScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        return too_short_rows(shard, *self.schemas)

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        return (rows,)


class ShardScorer:
    """A loaded model that turns shards into rows.

    Raises:
        EngineError: The model cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        # Needed only for the size of the compressed text.
        self._tokenizer = (
            load_decoder(job.checkpoint.text_folder, trust_remote_code=job.model.trust_remote_code)
            if job.metrics == "all"
            else None
        )
        self._engine = open_engine(job.model, job.checkpoint, job.numerics, job.extraction, job.settings)

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Rows by the job's schema, with their tolerance (logits) in the metadata; exact duplicates are scored once."""
        if isinstance(shard, LossShard):
            return loss_rows(shard, [self._engine.losses(shard.examples)])
        examples = scorable_examples(shard, self._job.extraction)
        advance(len(shard.examples) - len(examples))  # first, or else the time left would count them until the end
        with ThreadPoolExecutor(1) as beside:
            compressed = beside.submit(zlib_bytes, examples, self._tokenizer)
            scores = self._engine.score(examples, self._job.extraction, self._job.metrics, advance)
        return rows_of_shard(shard, examples, scores, compressed.result(), self._job)

    def close(self) -> None:
        self._engine.close()


def scorable_examples(shard: Shard, extraction: Extraction) -> list[Example]:
    """The distinct examples of a shard that hold prefix and suffix, in order; the first of exact duplicates."""
    distinct = {example.digest: example for example in reversed(shard.examples) if example.is_scored(extraction)}
    return sorted(distinct.values(), key=lambda example: example.position)


def too_short_rows(shard: Shard, schema: pa.Schema = SCHEMA) -> pa.Table:
    """Rows of a shard in which every example is too short to be scored."""
    return _table(shard, np.full(len(shard.examples), -1), {}, schema.with_metadata({TOLERANCE_KEY: b"0.0"}))


def zlib_bytes(examples: Sequence[Example], tokenizer: Tokenizer | None) -> list[int | None]:
    """Size in bytes of the zlib-compressed UTF-8 text that was learned of each example; None without a tokenizer."""
    if tokenizer is None:
        return [None] * len(examples)
    return [len(zlib.compress(tokenizer.decode(example.learned).encode("utf-8", "replace"))) for example in examples]


def rows_of_shard(
    shard: Shard, scored: Sequence[Example], scores: Scores, compressed: Sequence[int | None], job: Job
) -> pa.Table:
    """Make a row, by the schema of its job, for each example of a shard.

    Args:
        shard: All examples, duplicates and too short ones included.
        scored: The distinct examples that were scored.
        scores: Their scores.
        compressed: Their sizes by `zlib_bytes`.
        job: What they were scored by.
    """
    row_of = {example.digest: row for row, example in enumerate(scored)}
    rows = np.array([row_of.get(example.digest, -1) for example in shard.examples], dtype=np.int64)
    columns = {
        "memorized": scores.memorized,
        "ambiguous": scores.ambiguous,
        "margin": scores.margin,
        "logprob": scores.logprob,
        "nll": scores.nll,
        "entropy": scores.entropy,
        "first_miss": scores.first_miss,
        "zlib_bytes": pa.array(compressed, pa.int32()),
    }
    if job.metrics == "all":
        assert scores.windows is not None
        columns |= window_columns(scored, scores.windows, job.extraction)
    return _table(shard, rows, columns, schema_of(job.metrics).with_metadata(score_metadata(scores)))


def _table(shard: Shard, rows: Rows, columns: Mapping[str, npt.NDArray[Any] | pa.Array], schema: pa.Schema) -> pa.Table:
    """A row for each example of a shard.

    Args:
        shard: The examples.
        rows: The row of each in the columns, −1 for one that is too short.
        columns: Columns of scores; NaN becomes null, as do those that are missing.
        schema: The columns of the rows, and what else is known of the scores.
    """
    is_scored = rows >= 0
    taken = pa.array(rows, mask=~is_scored)
    table = {
        "example_id": pa.array([example.position for example in shard.examples], pa.int64()),
        "digest": pa.array([example.digest for example in shard.examples], pa.string()),
        "status": pa.array(np.where(is_scored, "scored", "too_short"), pa.string()),
    }
    for field in schema:
        if field.name not in table:
            column = pa.array(columns[field.name], field.type, from_pandas=True) if columns else None
            table[field.name] = pa.nulls(len(rows), field.type) if column is None else column.take(taken)
    return pa.table(table, schema)
