"""Runs of a model beside its pass, over all examples that the pass has scored or over some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.engines.load import ModelToLoad, open_decider
from pytest_kdmem.engines.numerics import numerics_of_run
from pytest_kdmem.scoring.check_sample import Expected
from pytest_kdmem.scoring.confirm import read_examples
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.scoring.run import executor_of
from pytest_kdmem.scoring.store import ScoreStore
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


class BesideScorer:
    """A loaded model that is run again.

    Args:
        job: The model and how it is run.

    Raises:
        EngineError: The model cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        self._engine = open_decider(ModelToLoad(job.model, job.checkpoint, job.numerics), job.settings)

    def close(self) -> None:
        self._engine.close()


# The shards of some of the chunks that examples are stored in.
MakeShards = Callable[[list[pa.Table]], Iterator[Shard]]
EXAMPLES_PER_CHUNK = 512


@dataclass(frozen=True)
class ChosenRun:
    """A run over those examples that the pass leaves open, which are stored in chunks.

    Attributes:
        task: What they are scored with.
        keys: The store's key of each of the tables that the task fills.
        store: Where rows are read and stored.
        progress: Receives the number of examples done.
        title: What is done, for the progress.
    """

    task: Task
    keys: tuple[str, ...]
    store: ScoreStore
    progress: Progress
    title: str

    def tables(self, chosen: pa.Table, make_shards: MakeShards) -> list[pa.Table]:
        """Read from the store what it holds of some examples, and score the others.

        Args:
            chosen: Position and digest of each example, as `distinct_rows` gives them.
            make_shards: Reads the examples of chunks from the training set.

        Returns:
            The rows of the examples in each of the task's tables.

        Raises:
            KdmemError: The model cannot be run, or the training set has changed.
        """
        chunks = {rows_digest(chunk): chunk for chunk in _chunks(chosen)}
        with self.store.lock(self.keys[0]):
            stored = {digest: [self.store.read_shard(key, digest) for key in self.keys] for digest in chunks}
            missing = [digest for digest, tables in stored.items() if any(table is None for table in tables)]
            if missing:
                wanted = [chunks[digest] for digest in missing]
                job = self.task.jobs[0]
                self.progress.start(self.title, sum(map(len, wanted)))
                try:
                    run = executor_of(job.settings).score(self.task, make_shards(wanted), self.progress)
                    with closing(run) as scored:
                        for digest, rows in scored:
                            stored[digest] = list(self.task.split(rows))
                            for key, table in zip(self.keys, stored[digest], strict=True):
                                self.store.write_shard(key, digest, table)
                finally:
                    self.progress.finish()
        parts = [
            [table.replace_schema_metadata(None) for tables in stored.values() if (table := tables[place]) is not None]
            for place in range(len(self.keys))
        ]
        return [
            pa.concat_tables([schema.empty_table(), *part])
            for schema, part in zip(self.task.schemas, parts, strict=True)
        ]


def distinct_rows(rows: pa.Table, is_chosen: pa.ChunkedArray) -> pa.Table:
    """Position and digest of each distinct example of which a row is chosen, at the first such copy."""
    chosen = rows.filter(is_chosen).select(["example_id", "digest"]).combine_chunks()
    _, first = np.unique(chosen["digest"].to_numpy(), return_index=True)
    return chosen.take(pa.array(np.sort(first)))


def examples_at(scores: ScoreTable, positions: set[int], *, offline: bool) -> dict[int, Example]:
    """Read examples of a table from the training set again, by their positions.

    Raises:
        EngineError: They are missing there, or others than were scored.
    """
    wanted = scores.rows.filter(pc.is_in(scores.rows["example_id"], pa.array(sorted(positions), pa.int64())))
    expected = [
        Expected(position, digest, False, False, None)
        for position, digest in zip(wanted["example_id"].to_pylist(), wanted["digest"].to_pylist(), strict=True)
    ]
    return {example.position: example for example in read_examples(scores, expected, offline=offline)}


def _chunks(chosen: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(chosen), EXAMPLES_PER_CHUNK):
        yield chosen.slice(start, EXAMPLES_PER_CHUNK)


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
