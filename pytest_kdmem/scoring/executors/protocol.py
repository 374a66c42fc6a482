"""The interface of an executor."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.specs.declared import TrainingSet

# Digest and rows of each shard.
ScoredShards = Generator[tuple[str, pa.Table], None, None]


class Executor(Protocol):
    """Reads training sets and scores their shards.

    Attributes:
        scores_here: Whether models run in this process, so that the next shard is read in a thread meanwhile.
    """

    @property
    def scores_here(self) -> bool: ...

    def documents(
        self, training_set: TrainingSet, *, offline: bool, meter: ReadMeter | None = None
    ) -> Iterator[Document]:
        """The documents of a source, in its order; a meter receives the share that is read, where that is known.

        Raises:
            DataError: The source cannot be read.
        """

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> ScoredShards:
        """Score shards, and yield digest and rows of each once it is done, in any order.

        The models are loaded when the first shard comes, and freed after the last.

        Args:
            task: The models to score with.
            shards: The shards, read only as they are needed.
            progress: Receives the number of examples done.

        Raises:
            KdmemError: A model cannot be loaded or run, or ``shards`` raises it.
        """
