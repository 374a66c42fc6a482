"""Shards scored one after another, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.engines.load import device_to_itself
from pytest_kdmem.scoring.executors.protocol import Scored
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.specs.declared import TrainingSet


class LocalExecutor:
    """One engine in this process, or in one of its own beside it."""

    def documents(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
        return read_documents(training_set, offline=offline)

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> Scored:
        waiting = iter(shards)
        if (first := next(waiting, None)) is None:
            return
        with device_to_itself(task.jobs[0].numerics.device), closing(task.open()) as scorer:
            for shard in chain([first], waiting):
                yield shard.digest, scorer.rows(shard, progress.advance)
