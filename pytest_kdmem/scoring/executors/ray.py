"""Scores shards on the workers of a Ray cluster.

This process, the driver, reads and tokenizes, hands shards to workers and receives their rows, so it alone needs the
store.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.formats import DocumentReader
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.scoring.executors.protocol import ScoredShards
from pytest_kdmem.scoring.executors.ray_cluster import cluster
from pytest_kdmem.scoring.executors.ray_pool import WorkerPool
from pytest_kdmem.scoring.executors.ray_reading import gather_by_ray
from pytest_kdmem.scoring.job import Task
from pytest_kdmem.specs.declared import TrainingSet


class RayExecutor:
    """Scores on the workers of a Ray cluster, each with the models of the run.

    A worker takes ``tensor_parallel`` GPUs if the run is on GPUs, else ``cpus_per_worker`` CPUs. The number of workers
    changes no score. The number of threads of a worker may, as in the local executor: torch may round the last bits of
    a margin differently, which shows in the ambiguous band.

    Args:
        workers: Largest number of workers; as many as the cluster has room for when the run begins if None.
        cpus_per_worker: CPUs, and threads, of a worker without GPU.
    """

    scores_here = False

    def __init__(self, *, workers: int | None = None, cpus_per_worker: int = 1) -> None:
        self._workers = workers
        self._cpus = cpus_per_worker
        self._streams: list[Generator[Document, None, None]] = []

    def documents(
        self, training_set: TrainingSet, *, offline: bool, meter: ReadMeter | None = None
    ) -> Iterator[Document]:
        """The documents of `read_documents`; Ray Data reads the files of the hub and of object stores."""
        return read_documents(training_set, offline=offline, gather=self._gather, meter=meter)

    def score(self, task: Task, shards: Iterable[Shard], progress: Progress) -> ScoredShards:
        with cluster() as ray:
            try:
                remaining = iter(shards)
                if (first := next(remaining, None)) is None:
                    return
                with closing(WorkerPool(ray, task, self._workers, self._cpus)) as pool:
                    for shard, table in pool.score(chain([first], remaining)):
                        progress.advance(len(shard.examples))
                        yield shard.digest, table
            finally:
                for stream in self._streams:
                    stream.close()  # while the cluster still runs

    def _gather(self, parts: Sequence[DocumentReader]) -> Iterator[Document]:
        stream = gather_by_ray(parts)
        self._streams.append(stream)
        return stream
