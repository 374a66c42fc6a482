"""Scores shards one after another in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.engines.load import device_to_itself
from pytest_kdmem.scoring.executors.protocol import ScoredShards
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.specs.declared import TrainingSet


class LocalExecutor:
    """Scores with one engine, which runs in this process or, for vLLM, in one that it starts."""

    scores_here = True

    def documents(
        self, training_set: TrainingSet, *, offline: bool, meter: ReadMeter | None = None
    ) -> Iterator[Document]:
        return read_documents(training_set, offline=offline, meter=meter)

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> ScoredShards:
        remaining = iter(shards)
        if (first := next(remaining, None)) is None:
            return
        device, several = task.jobs[0].numerics.device, len(task.jobs) > 1
        loading = "loading the models" if several else "loading the model"
        progress.status(loading)
        with device_to_itself(device, lambda: progress.status(f"waiting until another process frees the {device}")):
            progress.status(loading)
            with closing(task.open()) as scorer:
                progress.status("")
                for shard in chain([first], remaining):
                    yield shard.digest, scorer.rows(shard, progress.advance)
