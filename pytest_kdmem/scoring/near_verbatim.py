"""Finds what a model recites nearly verbatim, of the examples that its pass has scored.

What the pass found recited needs no decoding, and of everything else decoding begins at the first miss. The run goes
through the shards of the training set as the pass does, so it is stored, resumed and shared out as the pass is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.beside import BesideScorer, BesideTask, job_beside, key_beside
from pytest_kdmem.scoring.executors.protocol import Executor, ScoredShards
from pytest_kdmem.scoring.job import Task, scorable_examples
from pytest_kdmem.scoring.run import ScoreRun, executor_of
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs give other rows than before, so that stored rows of before are not used.
PROTOCOL = 1
# Whether the greedy continuation of each example is near its suffix, and whether another kernel or batch size could
# change that; null if the example is too short.
NEAR_SCHEMA = pa.schema(
    [("example_id", pa.int64()), ("digest", pa.string()), ("near", pa.bool_()), ("ambiguous", pa.bool_())]
)
# In place of a number of hits: the pass is sure that all tokens are hit.
RECITED = -1


def near_verbatim(
    scores: ScoreTable,
    nearness: Nearness,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    progress: Progress = NO_PROGRESS,
) -> pa.Table:
    """Decode every example as far as its verdict depends on it, reading from the store what it holds already.

    Args:
        scores: What the model's pass gave of the training set.
        nearness: How near counts as near.
        store: Where rows are read and stored.
        settings: How the model is run; the defaults if None. A part of a run is not heeded.
        progress: Receives the number of examples done.

    Returns:
        A row for each row of the scores, by NEAR_SCHEMA.

    Raises:
        SpecError: The run of tokens is longer than the suffix.
        KdmemError: The model cannot be run, or model or training set have changed since they were scored.
    """
    nearness.check_fits(scores.extraction.suffix_tokens)
    job = job_beside(scores, settings or RunSettings())
    task = NearTask(job, nearness)
    key = key_beside(job, scores, "near", PROTOCOL, nearness.edits(job.extraction.suffix_tokens), nearness.run)
    executor = _WithHits(executor_of(job.settings), scores)
    run = ScoreRun(task, ((key,),), scores.training_set, store, executor, progress)
    with store.lock(key):
        result = run.read_all() or run.score_missing()
    if result is None or result.record.digest != scores.record.digest:
        raise EngineError(
            f"The examples of {scores.training_set.source} were expected as they were scored, and they have changed"
            " while they were decoded; audit the training set again as it is."
        )
    return pa.concat_tables([table.replace_schema_metadata(None) for table in result.tables[0]])


@dataclass(frozen=True, eq=False)
class NearShard(Shard):
    """A shard of which it is known where each example's first miss is.

    Attributes:
        hits: Number of suffix tokens before the first miss of each example ``[n]``, or RECITED; 0 of those too short.
    """

    hits: npt.NDArray[np.int32]


@dataclass(frozen=True)
class NearTask(BesideTask):
    """Everything a worker needs to decode a shard."""

    nearness: Nearness

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        return (NEAR_SCHEMA,)

    def open(self) -> NearScorer:
        return NearScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        nulls = {name: pa.nulls(len(shard.examples), pa.bool_()) for name in ("near", "ambiguous")}
        return pa.table(self.columns(shard) | nulls, NEAR_SCHEMA)


class NearScorer(BesideScorer[NearTask]):
    """A loaded model that decodes shards."""

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Rows by NEAR_SCHEMA of a `NearShard`; exact duplicates are decoded once."""
        from pytest_kdmem.engines.transformers.near_decoding import near_verdicts

        assert isinstance(shard, NearShard)
        job = self._task.job
        examples = scorable_examples(shard, job.extraction)
        hits_by_digest = dict(zip((example.digest for example in shard.examples), shard.hits.tolist(), strict=True))
        hits = np.array([hits_by_digest[example.digest] for example in examples], dtype=np.int32)
        near, ambiguous = hits == RECITED, np.zeros(len(examples), dtype=bool)
        decoded = np.flatnonzero(~near)
        advance(len(shard.examples) - len(decoded))
        verdicts = near_verdicts(
            self._engine,
            [examples[row] for row in decoded],
            hits[decoded],
            job.extraction,
            self._task.nearness,
            advance,
        )
        near[decoded], ambiguous[decoded] = verdicts.near, verdicts.ambiguous
        row_of = {example.digest: row for row, example in enumerate(examples)}
        rows = pa.array([row_of.get(example.digest) for example in shard.examples], pa.int64())
        columns = {"near": pa.array(near).take(rows), "ambiguous": pa.array(ambiguous).take(rows)}
        return pa.table(self._task.columns(shard) | columns, NEAR_SCHEMA)


class _WithHits:
    """An executor that gives each shard what the pass told of its examples.

    Args:
        executor: The executor that scores.
        scores: What the pass gave.
    """

    def __init__(self, executor: Executor, scores: ScoreTable) -> None:
        self._executor, rows = executor, scores.rows
        self._positions = rows["example_id"].to_numpy()
        is_recited, is_ambiguous = (rows[name].fill_null(False).to_numpy() for name in ("memorized", "ambiguous"))
        first_miss = rows["first_miss"].fill_null(0).to_numpy()
        # Which tokens of an ambiguous one are ties is seen when it is run again.
        recited = np.where(is_ambiguous, scores.extraction.suffix_tokens, RECITED)
        self._hits = np.where(is_recited, recited, np.maximum(first_miss, 0)).astype(np.int32)

    @property
    def scores_here(self) -> bool:
        return self._executor.scores_here

    def documents(
        self, training_set: TrainingSet, *, offline: bool, meter: ReadMeter | None = None
    ) -> Iterator[Document]:
        return self._executor.documents(training_set, offline=offline, meter=meter)

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> ScoredShards:
        with closing(self._executor.score(task, map(self._with_hits, shards), progress)) as scored:
            yield from scored

    def _with_hits(self, shard: Shard) -> NearShard:
        positions = [example.position for example in shard.examples]
        rows = np.searchsorted(self._positions, positions).clip(max=len(self._positions) - 1)
        # A position that was not scored belongs to another set, which is noticed by its digest.
        return NearShard(shard.examples, np.where(self._positions[rows] == positions, self._hits[rows], 0))
