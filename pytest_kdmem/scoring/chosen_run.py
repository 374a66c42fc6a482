"""Runs over those examples that a model's pass leaves open, which are read again and stored in chunks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.scoring.check_sample import Expected
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.scoring.read_examples import read_examples
from pytest_kdmem.scoring.run import executor_of
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable

EXAMPLES_PER_CHUNK = 512
Chunk = tuple[Example, ...]
# The shards of chunks, which are made one by one, with all examples that were read, by position.
MakeShards = Callable[[Iterator[Chunk], Mapping[int, Example]], Iterator[Shard]]
Positions = Callable[[], Collection[int]]


def plain_shards(chunks: Iterator[Chunk], _examples: Mapping[int, Example]) -> Iterator[Shard]:
    """Shards of nothing but the examples of their chunks."""
    return map(Shard, chunks)


@dataclass(frozen=True)
class ChosenRun:
    """A run over those examples that the pass leaves open, which are stored in chunks.

    Attributes:
        scores: What the pass gave of the training set.
        task: What they are scored with.
        keys: The store's key of each of the tables that the task fills.
        store: Where rows are read and stored.
        progress: Receives the number of examples done.
        title: What is done, for the progress.
    """

    scores: ScoreTable
    task: Task
    keys: tuple[str, ...]
    store: ScoreStore
    progress: Progress
    title: str

    def tables(
        self, is_chosen: pa.ChunkedArray, make_shards: MakeShards = plain_shards, *, beside: Positions = tuple
    ) -> list[pa.Table]:
        """Read from the store what it holds of some examples, and score the others.

        Args:
            is_chosen: Whether each row of the scores is chosen, bool ``[rows]``; of copies the first is scored.
            make_shards: Makes shards of the chunks that are not stored.
            beside: Gives the positions of examples that are read with them, if anything has to be read.

        Returns:
            The rows of the distinct examples in each of the task's tables.

        Raises:
            KdmemError: The model cannot be run, or the training set has changed.
        """
        chunks = {rows_digest(chunk): chunk for chunk in _chunks(_distinct_rows(self.scores.rows, is_chosen))}
        with self.store.lock(self.keys[0]):
            stored = {digest: [self.store.read_shard(key, digest) for key in self.keys] for digest in chunks}
            missing = [digest for digest, tables in stored.items() if any(table is None for table in tables)]
            if missing:
                wanted = [chunks[digest] for digest in missing]
                shards = self._shards(wanted, make_shards, beside)
                self.progress.start(self.title, sum(map(len, wanted)))
                try:
                    executor = executor_of(self.task.jobs[0].settings)
                    with closing(executor.score(self.task, shards, self.progress)) as scored:
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

    def _shards(self, chunks: list[pa.Table], make_shards: MakeShards, beside: Positions) -> Iterator[Shard]:
        """Read the examples of some chunks, and others beside them, from the training set, once the first is needed."""
        of_chunks = [chunk["example_id"].to_pylist() for chunk in chunks]
        offline = self.task.jobs[0].settings.offline
        examples = examples_at(self.scores, {*beside(), *chain.from_iterable(of_chunks)}, offline=offline)
        yield from make_shards(
            (tuple(examples[position] for position in positions) for positions in of_chunks), examples
        )


def _distinct_rows(rows: pa.Table, is_chosen: pa.ChunkedArray) -> pa.Table:
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
