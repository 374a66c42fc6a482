"""Probabilities of suffixes under samplers, of the examples that the pass does not rule out.

The pass tells of each example how much the logits of its suffix fall short of the greatest, and by that how probable
the suffix is at most under any sampler. Only what may be extracted within that bound is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.beside import BesideScorer, BesideTask, job_beside, key_beside
from pytest_kdmem.scoring.chosen_run import ChosenRun
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.sampler import Draws, Sampler

# Raised when the same inputs give other rows than before, so that stored rows of before are not used.
PROTOCOL = 1
# Log-probability of a suffix under a sampler in nats, and the least and the most that another kernel or batch size
# could give; −inf of what is never drawn.
SAMPLED_SCHEMA = pa.schema(
    [
        ("example_id", pa.int64()),
        ("digest", pa.string()),
        ("logprob", pa.float64()),
        ("least", pa.float64()),
        ("most", pa.float64()),
    ]
)
OF_SAMPLER = SAMPLED_SCHEMA.names[2:]
# Share of a shortfall that float32 rounds, several times over.
ROUNDING = 1e-6


def sampled_suffixes(
    scores: ScoreTable,
    samplers: Sequence[Sampler],
    draws: Draws,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[pa.Table]:
    """Score each distinct suffix that may be extractable under one of several samplers, in one run over all of them.

    Args:
        scores: What the model's pass gave of the training set, by all metrics.
        samplers: Samplers that are not greedy.
        draws: How many samples are drawn, and how probable an extraction is.
        store: Where rows are read and stored.
        settings: How the model is run; the defaults if None. A part of a run is not heeded.
        progress: Receives the number of examples done.

    Returns:
        For each sampler a row for each of these suffixes, by SAMPLED_SCHEMA.

    Raises:
        SpecError: The pass scored verdicts alone.
        KdmemError: The model cannot be run, or the training set has changed since it was scored.
    """
    job = job_beside(scores, settings or RunSettings())
    task = SampledTask(job, tuple(samplers))
    keys = tuple(key_beside(job, scores, "sampled", PROTOCOL, to_digest(sampler)) for sampler in samplers)
    run = ChosenRun(scores, task, keys, store, progress, f"{job.model.name} as it is sampled")
    is_chosen = np.logical_or.reduce([may_be_extractable(scores, sampler, draws) for sampler in samplers])
    return run.tables(pa.chunked_array([pa.array(is_chosen)]))


def may_be_extractable(scores: ScoreTable, sampler: Sampler, draws: Draws) -> Flags:
    """Whether the suffix of each row may be as probable as it must be to be extractable, bool ``[rows]``.

    A target of a probability above exp(−d/T) has a logit that is less than d below the greatest, however the
    distribution is truncated, as every truncation keeps the greatest. What is marked False is certainly not
    extractable, or too short.

    Raises:
        SpecError: The pass scored verdicts alone.
    """
    if "shortfall" not in scores.rows.column_names:
        raise SpecError(
            f"Column shortfall was expected of {scores.model.source}, and only verdicts were scored; ask for"
            ' memorization(…, metrics="all").'
        )
    shortfall = scores.rows["shortfall"].to_numpy().astype(np.float64)
    most = -shortfall * (1 - ROUNDING) / sampler.temperature
    is_scored: Flags = pc.equal(scores.rows["status"], "scored").to_numpy()
    is_impossible: Flags = most < draws.least_logprob - ROUNDING
    return is_scored & ~is_impossible


def to_digest(sampler: Sampler) -> list[float | None]:
    """What a key depends on of a sampler."""
    cutoffs = [sampler.top_p, sampler.min_p, sampler.epsilon_cutoff, sampler.eta_cutoff]
    return [float(sampler.temperature), sampler.top_k, *(None if value is None else float(value) for value in cutoffs)]


@dataclass(frozen=True)
class SampledTask(BesideTask):
    """Everything a worker needs to score suffixes under samplers."""

    samplers: tuple[Sampler, ...]

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        return (SAMPLED_SCHEMA,) * len(self.samplers)

    def open(self) -> SampledScorer:
        return SampledScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        return pa.table(self.columns(shard))

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        own = rows.select(["example_id", "digest"]).columns
        return tuple(
            pa.table([*own, *(rows[_column(name, place)] for name in OF_SAMPLER)], schema=SAMPLED_SCHEMA)
            for place in range(len(self.samplers))
        )


class SampledScorer(BesideScorer[SampledTask]):
    """A loaded model that scores suffixes under samplers."""

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """Rows of a shard of distinct examples, with the columns of each sampler."""
        from pytest_kdmem.engines.transformers.sampling import suffix_logprobs

        task = self._task
        logprobs = suffix_logprobs(self._engine, shard.examples, task.job.extraction, task.samplers, advance)
        columns = {
            _column(name, place): pa.array(getattr(of_sampler, name), pa.float64())
            for place, of_sampler in enumerate(logprobs)
            for name in OF_SAMPLER
        }
        return pa.table(task.columns(shard) | columns)


def _column(name: str, place: int) -> str:
    """The column of one of several samplers."""
    return f"{name} {place}"
