"""Scores the suffixes that a model recites after prefixes of other examples, which tells what it says without its own.

Only what is recited is scored again, so the run is as small as the memorization rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.scoring.beside import BesideScorer, BesideTask, job_beside, key_beside
from pytest_kdmem.scoring.chosen_run import ChosenRun, Chunk
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.scoring.unrelated_prefixes import DRAWS, POOL, SEED, UnrelatedPrefixes, draw_pool
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs give other rows than before, so that stored rows of before are not used.
PROTOCOL = 1
# Of each prefix that was drawn: whether the suffix is recited after it, whether that is ambiguous, and the suffix's
# log-probability in nats. A list is shorter than DRAWS where fewer unrelated prefixes were found.
SUFFIX_SCHEMA = pa.schema(
    [
        ("example_id", pa.int64()),
        ("digest", pa.string()),
        ("memorized", pa.list_(pa.bool_())),
        ("ambiguous", pa.list_(pa.bool_())),
        ("logprob", pa.list_(pa.float32())),
    ]
)


def suffixes_alone(
    scores: ScoreTable,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    progress: Progress = NO_PROGRESS,
) -> pa.Table:
    """Score each distinct suffix that may be recited after unrelated prefixes, reading from the store what it holds.

    Args:
        scores: What the model's pass gave of the training set.
        store: Where rows are read and stored.
        settings: How the model is run; the defaults if None. A part of a run is not heeded.
        progress: Receives the number of examples done.

    Returns:
        A row for each, by SUFFIX_SCHEMA.

    Raises:
        KdmemError: The model cannot be run, or model or training set have changed since they were scored.
    """
    job = job_beside(scores, settings or RunSettings())
    task = SuffixTask(job)
    key = key_beside(job, scores, "without prefix", PROTOCOL, scores.record.digest, [SEED, DRAWS, POOL])
    run = ChosenRun(scores, task, (key,), store, progress, f"{job.model.name} without prefixes")
    is_possible = pc.fill_null(pc.or_(scores.rows["memorized"], scores.rows["ambiguous"]), False)

    def pool() -> list[int]:
        return draw_pool(scores.rows)

    def with_prefixes(chunks: Iterator[Chunk], examples: Mapping[int, Example]) -> Iterator[SuffixShard]:
        prefixes = UnrelatedPrefixes([examples[position] for position in pool()], scores.extraction)
        for chunk in chunks:
            yield SuffixShard(chunk, tuple(prefixes.of(example) for example in chunk))

    [table] = run.tables(is_possible, with_prefixes, beside=pool)
    return table


@dataclass(frozen=True)
class SuffixShard(Shard):
    """Examples whose suffixes are scored alone.

    Attributes:
        prefixes: The unrelated prefixes of each example.
    """

    prefixes: tuple[tuple[TokenIds, ...], ...] = ()


@dataclass(frozen=True)
class SuffixTask(BesideTask):
    """Everything a worker needs to score suffixes alone."""

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        return (SUFFIX_SCHEMA,)

    def open(self) -> SuffixScorer:
        return SuffixScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        return pa.table(self.columns(shard), SUFFIX_SCHEMA)


class SuffixScorer(BesideScorer[SuffixTask]):
    """A loaded model that scores suffixes after other prefixes."""

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Rows by SUFFIX_SCHEMA of a `SuffixShard`."""
        assert isinstance(shard, SuffixShard)
        extraction = self._task.job.extraction
        counts = [len(prefixes) for prefixes in shard.prefixes]
        alone = []
        for example, prefixes in zip(shard.examples, shard.prefixes, strict=True):
            suffix = example.ids[example.start(extraction) : example.end(extraction)]
            alone += [
                Example(example.position, np.concatenate([prefix, suffix]), prefix_tokens=len(prefix))
                for prefix in prefixes
            ]
        scores = self._engine.score(alone, extraction, "all", lambda examples: None)
        advance(len(shard.examples))
        ends = np.concatenate([[0], np.cumsum(counts)])
        columns = {
            name: pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(getattr(scores, name)))
            for name in ("memorized", "ambiguous", "logprob")
        }
        return pa.table(self._task.columns(shard) | columns, SUFFIX_SCHEMA)
