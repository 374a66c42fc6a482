"""Runs of a model beside its pass: which model, by what it is run, and under which keys its rows are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.load import ModelToLoad, open_decider
from pytest_kdmem.engines.numerics import numerics_of_run
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings


@dataclass(frozen=True)
class BesideTask:
    """What a worker needs to run one model again, in the transformers engine and in the dtype that decides."""

    job: Job

    @property
    def jobs(self) -> tuple[Job, ...]:
        return (self.job,)

    def mapped(self, change: Callable[[Job], Job]) -> Self:
        return replace(self, job=change(self.job))

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        return (rows,)

    def columns(self, shard: Shard) -> dict[str, pa.Array]:
        """The columns by which stored rows are told to be those of a shard."""
        return {
            "example_id": pa.array([example.position for example in shard.examples], pa.int64()),
            "digest": pa.array([example.digest for example in shard.examples], pa.string()),
        }


OneTask = TypeVar("OneTask", bound=BesideTask)


class BesideScorer(Generic[OneTask]):
    """A loaded model that is run again.

    Args:
        task: The model, how it is run, and what is asked of it.

    Raises:
        EngineError: The model cannot be loaded.
    """

    def __init__(self, task: OneTask) -> None:
        self._task, job = task, task.job
        self._engine = open_decider(ModelToLoad(job.model, job.checkpoint, job.numerics), job.settings)

    def close(self) -> None:
        self._engine.close()


def job_beside(scores: ScoreTable, settings: RunSettings) -> Job:
    """The job of a run beside the pass that gave a table.

    vLLM gives neither what is decoded up to a token nor log-probabilities, so transformers runs the model whatever
    engine the settings name.

    Raises:
        EngineError: The model does not run in the transformers engine here.
    """
    own = replace(settings, engine="transformers", tensor_parallel=1, screen_dtype="none", part=None)
    numerics = numerics_of_run(scores.model, scores.checkpoint, own, "all")
    return Job(scores.model, scores.checkpoint, scores.extraction, numerics, "all", own)


def key_beside(job: Job, scores: ScoreTable, *depends_on: object) -> str:
    """The store's key of such rows: model, what they and the verdicts that they go on from depend on, and numerics."""
    lengths = [job.extraction.prefix_tokens, job.extraction.suffix_tokens]
    protocol = digest_of([lengths, scores.numerics.digest, *depends_on])
    return f"{job.checkpoint.digest[:16]}-{protocol[:8]}-{job.numerics.digest[:8]}"
