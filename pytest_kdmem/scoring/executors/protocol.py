"""What an executor is to the rest, and the choice of one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.specs.declared import TrainingSet

# Digest and rows of each shard.
Scored = Generator[tuple[str, pa.Table], None, None]


class Executor(Protocol):
    """Scores shards; the run's models are loaded with the first of them and gone when the last one is done."""

    def documents(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
        """The documents of a source, in its order.

        Raises:
            DataError: it cannot be read.
        """

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> Scored:
        """Digest and rows of each shard, as they are done, in any order; ``shards`` is read as they are needed.

        Raises:
            KdmemError: a model cannot be loaded or run, or what ``shards`` itself raises.
        """
