"""A shard of examples → its rows, by the engine of one model: what every executor's workers do."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.examples import Example, Tokenizer, load_tokenizer
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Metrics, Scores
from pytest_kdmem.scoring.table import SCHEMA
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings


class Scorer(Protocol):
    """Loaded models that turn shards into rows. ``close`` gives their memory back."""

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """A row for each example, with ``example_id`` and ``digest``; ``advance`` is told of examples as they are done.

        Raises:
            EngineError: a model gives NaN, or runs out of memory.
        """

    def close(self) -> None: ...


class Task(Protocol):
    """What a worker needs to know to score any shard of a run, by the models that the run takes."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Each model's own; device and settings are the same in all."""

    def mapped(self, change: Callable[[Job], Job]) -> Self:
        """The same run with each model's job changed."""

    def open(self) -> Scorer:
        """Load the models.

        Raises:
            EngineError: one cannot be loaded.
        """

    def too_short_rows(self, shard: Shard) -> pa.Table:
        """Rows of a shard without an example that can be scored."""

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        """Rows of a shard as the tables that are stored, each on its own."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to score any shard of a run of one model."""

    model: Model
    checkpoint: Checkpoint
    extraction: Extraction
    numerics: Numerics
    metrics: Metrics
    settings: RunSettings

    @property
    def jobs(self) -> tuple[Job, ...]:
        return (self,)

    def mapped(self, change: Callable[[Job], Job]) -> Job:
        return change(self)

    def open(self) -> ShardScorer:
        return ShardScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        return too_short_rows(shard)

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        return (rows,)


class ShardScorer:
    """A loaded model that turns shards into rows.

    Raises:
        EngineError: the model cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        # Only to count the bytes of compressed text.
        self._tokenizer = (
            load_tokenizer(job.checkpoint.folder, trust_remote_code=job.model.trust_remote_code)
            if job.metrics == "all"
            else None
        )
        self._engine = open_engine(job.model, job.checkpoint, job.numerics, job.extraction, job.settings)

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Rows by SCHEMA, with the ``tolerance`` (logits) in the table's metadata; exact duplicates are scored once."""
        chosen = long_enough(shard, self._job.extraction)
        scores = self._engine.score(chosen, self._job.extraction, self._job.metrics, advance)
        advance(len(shard.examples) - len(chosen))
        return rows_of_shard(shard, chosen, scores, zlib_bytes(chosen, self._tokenizer))

    def close(self) -> None:
        self._engine.close()


def long_enough(shard: Shard, extraction: Extraction) -> list[Example]:
    """The distinct examples of a shard that can be scored, in order."""
    needed = extraction.scored_tokens
    distinct = {example.digest: example for example in reversed(shard.examples) if len(example.ids) >= needed}
    return sorted(distinct.values(), key=lambda example: example.position)


def too_short_rows(shard: Shard) -> pa.Table:
    """Rows by SCHEMA of a shard without an example that can be scored."""
    rows = [_too_short(example) for example in shard.examples]
    return pa.Table.from_pylist(rows, SCHEMA.with_metadata({"tolerance": "0.0"}))


def zlib_bytes(examples: Sequence[Example], tokenizer: Tokenizer | None) -> list[int | None]:
    """Bytes of each example's zlib-compressed text (UTF-8); None where no tokenizer gives the text."""
    if tokenizer is None:
        return [None] * len(examples)
    return [len(zlib.compress(tokenizer.decode(example.ids).encode("utf-8", "replace"))) for example in examples]


def rows_of_shard(
    shard: Shard, chosen: Sequence[Example], scores: Scores, compressed: Sequence[int | None]
) -> pa.Table:
    """Scores of the distinct examples ``chosen`` → a row, by SCHEMA, for each example of the shard."""
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


def _too_short(example: Example) -> dict[str, object]:
    return {"example_id": example.position, "digest": example.digest, "status": "too_short"}


def _or_none(value: np.generic) -> object:
    plain = value.item()
    return None if isinstance(plain, float) and np.isnan(plain) else plain
