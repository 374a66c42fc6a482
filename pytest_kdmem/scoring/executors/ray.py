"""Shards scored by the workers of a Ray cluster.

This process, the driver, reads and tokenises, hands shards to workers and takes their rows: it alone needs the store.
Workers are plain actors, and no stage of a Ray Data pipeline: so a worker that is lost loses the shards it was given
and nothing else, finished rows reach the store one shard at a time, and reading takes no CPUs that scoring waits for.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.formats import DocumentReader, first_line
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import EngineError, KdmemError
from pytest_kdmem.scoring.executors.ray_cluster import cluster
from pytest_kdmem.scoring.executors.ray_reading import cause_of, gather_by_ray
from pytest_kdmem.scoring.executors.ray_worker import RayWorker
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.specs.declared import TrainingSet

SHARDS_PER_WORKER = 2  # one that is scored and one that waits, so that no worker does
MOST_LOSSES = 3
SECONDS_TO_BE_PLACED = 60.0
SECONDS_TO_CLOSE = 10.0
LOADING = "loading"


class RayExecutor:
    """Workers of a Ray cluster, each with one model.

    A worker takes ``tensor_parallel`` GPUs where the run is on GPUs, else ``cpus_per_worker`` CPUs. Figures do not
    depend on how many workers there are. With another number of threads, though, torch may round otherwise, here as in
    the local executor: in the last bits of a margin, and so in the ambiguous band.

    Args:
        workers: how many at most; as many as the cluster has room for when the run begins if None.
        cpus_per_worker: CPUs, and threads, of a worker without GPU.
    """

    def __init__(self, *, workers: int | None = None, cpus_per_worker: int = 1) -> None:
        self._workers = workers
        self._cpus = cpus_per_worker
        self._streams: list[Generator[Document, None, None]] = []

    def documents(self, training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
        """As `read_documents`; files of the hub and of object stores are read by Ray Data."""
        return read_documents(training_set, offline=offline, gather=self._gather)

    def score(
        self, task: Task, shards: Iterable[Shard], progress: Progress
    ) -> Generator[tuple[str, pa.Table], None, None]:
        with cluster() as ray:
            try:
                waiting = iter(shards)
                if (first := next(waiting, None)) is None:
                    return
                with closing(_Pool(ray, task, self._workers, self._cpus)) as pool:
                    for shard, table in pool.scored(chain([first], waiting)):
                        progress.advance(len(shard.examples))
                        yield shard.digest, table
            finally:
                for stream in self._streams:
                    stream.close()  # before the cluster goes

    def _gather(self, parts: Sequence[DocumentReader]) -> Iterator[Document]:
        stream = gather_by_ray(parts)
        self._streams.append(stream)
        return stream


@dataclass(eq=False)
class _Worker:
    """An actor, and what it was given: ``shards`` in the order in which it takes them."""

    actor: Any
    placed: bool = False
    loaded: bool = False
    shards: deque[Shard] = field(default_factory=deque)


class _Pool:
    """Workers, what each of them is doing, and the shards that a lost one leaves."""

    def __init__(self, ray: Any, task: Task, workers: int | None, cpus: int) -> None:
        self._ray = ray
        job = task.jobs[0]
        on_gpus = job.numerics.device == "cuda"
        self._needs = {"GPU": job.settings.tensor_parallel} if on_gpus else {"CPU": cpus}
        self._threads = None if on_gpus else cpus
        self._task = task.mapped(_with_whole_path)
        options = {"num_cpus": self._needs.get("CPU", 0), "num_gpus": self._needs.get("GPU", 0), "max_restarts": 0}
        self._actor_class = ray.remote(**options)(RayWorker)
        room = self._room()
        self._workers: list[_Worker] = []
        self._doing: dict[Any, tuple[_Worker, Shard | None]] = {}  # by the reference of what it will give
        self._lost: deque[Shard] = deque()
        self._losses: Counter[str] = Counter()
        self._hired = time.monotonic()
        for _ in range(min(workers or room, room)):
            self._hire()

    def scored(self, shards: Iterator[Shard]) -> Iterator[tuple[Shard, pa.Table]]:
        """Each shard with its rows as it is done; one is taken of ``shards`` when there is a worker for it.

        Raises:
            EngineError: no worker can be placed, or one shard, or loading the model, costs worker after worker.
            KdmemError: what a worker or ``shards`` raises.
        """
        exhausted = False
        while True:
            free = [worker for worker in self._workers if worker.loaded and len(worker.shards) < SHARDS_PER_WORKER]
            give = bool(free) and not (exhausted and not self._lost)
            if exhausted and not self._lost and not any(worker.shards for worker in self._workers):
                return
            # What is done goes to the store before more is read.
            if (reference := self._next_done(wait=not give)) is not None:
                if (done := self._result(reference)) is not None:
                    yield done
            elif give:
                shard = self._lost.popleft() if self._lost else next(shards, None)
                exhausted = exhausted or shard is None
                if shard is not None:
                    self._give(min(free, key=lambda worker: len(worker.shards)), shard)

    def close(self) -> None:
        """End the workers: those at rest by themselves, so that engines end their processes, the others at once."""
        with suppress(Exception):  # whatever is left of the cluster; what broke it is told already
            resting = [worker.actor.close.remote() for worker in self._workers if worker.loaded and not worker.shards]
            if resting:
                self._ray.wait(resting, num_returns=len(resting), timeout=SECONDS_TO_CLOSE)
            for worker in self._workers:
                self._ray.kill(worker.actor)

    def _room(self) -> int:
        """How many workers the nodes hold, were nothing else on them."""
        [(resource, needed)] = self._needs.items()
        held = [int(node["Resources"].get(resource, 0)) for node in self._ray.nodes() if node["Alive"]]
        if not (room := sum(count // needed for count in held)):
            raise EngineError(
                f"A node with {needed} {resource}s for a worker was expected in the Ray cluster; found nodes of at most"
                f" {max(held, default=0)}: {self._way_out}."
            )
        return room

    @property
    def _names(self) -> str:
        """The run's models, for messages."""
        return " and ".join(job.model.source for job in self._task.jobs)

    @property
    def _way_out(self) -> str:
        if "GPU" in self._needs:
            return "add GPU nodes, set a smaller --kdmem-tensor-parallel, or audit with --kdmem-device cpu"
        return "add nodes, or set a smaller --kdmem-cpus-per-worker"

    def _hire(self) -> None:
        worker = _Worker(self._actor_class.remote())
        self._workers.append(worker)
        self._doing[worker.actor.placed.remote()] = worker, None
        self._doing[worker.actor.load.remote(self._task, version("pytest-kdmem"), self._threads)] = worker, None
        self._hired = time.monotonic()

    def _give(self, worker: _Worker, shard: Shard) -> None:
        worker.shards.append(shard)
        self._doing[worker.actor.rows.remote(shard)] = worker, shard

    def _next_done(self, *, wait: bool) -> Any:
        """The reference of something done, or None if there is none and ``wait`` is not set."""
        placed = any(worker.placed for worker in self._workers)
        patience = None if placed else max(0.0, self._hired + SECONDS_TO_BE_PLACED - time.monotonic())
        done, _ = self._ray.wait(list(self._doing), num_returns=1, timeout=patience if wait else 0)
        if wait and not done:
            [(resource, needed)] = self._needs.items()
            free = self._ray.available_resources().get(resource, 0)
            raise EngineError(
                f"A worker was expected to find {needed} {resource}s in the Ray cluster within"
                f" {SECONDS_TO_BE_PLACED:.0f} s, and others hold them ({free:g} free in all); wait for these,"
                f" {self._way_out}."
            )
        return done[0] if done else None

    def _result(self, reference: Any) -> tuple[Shard, pa.Table] | None:
        """A shard that is done with its rows; None where a worker has come on, or is lost."""
        errors = self._ray.exceptions
        worker, shard = self._doing.pop(reference)
        try:
            value = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, KdmemError):
                raise error.cause from None
            # Its type alone: what another package says may hold what it was given, which is training text.
            raise EngineError(
                f"Rows were expected of a worker of the Ray cluster for model {self._names}, and"
                f" {cause_of(error)} was raised there; run it without --kdmem-executor ray, which shows where."
            ) from None
        except errors.RayError as error:  # a process or node is gone, or what it gave is
            self._lose(worker, error)
            return None
        if shard is None:
            worker.loaded = worker.placed  # the second answer
            worker.placed = True
            return None
        worker.shards.remove(shard)
        self._losses.pop(LOADING, None)
        with pa.ipc.open_stream(value) as stream:
            return shard, stream.read_all()

    def _lose(self, worker: _Worker, error: Exception) -> None:
        """Put a worker's shards back, and another one in its place; the shard it was at may be what ended it."""
        if getattr(error, "actor_init_failed", False):
            raise EngineError(
                "pytest-kdmem was expected on every node of the Ray cluster, and a worker could not import it; install"
                " the same version on all nodes."
            ) from error
        self._workers.remove(worker)
        self._doing = {reference: entry for reference, entry in self._doing.items() if entry[0] is not worker}
        self._lost.extendleft(reversed(worker.shards))
        with suppress(Exception):
            self._ray.kill(worker.actor)  # where it only could not be reached
        at = f"examples {_span(worker.shards[0])}" if worker.shards else LOADING
        self._losses[at] += 1
        if self._losses[at] >= MOST_LOSSES:
            raise EngineError(
                f"Workers of Ray were expected to live, and {MOST_LOSSES} died at {at} of model"
                f" {self._names} (the last one: {first_line(error)}); look at the memory of the nodes"
                " and at Ray's logs."
            ) from error
        self._hire()


def _with_whole_path(job: Job) -> Job:
    """A relative path means another place in a worker."""
    folder = Path(job.model.source).expanduser()
    return replace(job, model=replace(job.model, source=str(folder.resolve()))) if folder.is_dir() else job


def _span(shard: Shard) -> str:
    return f"{shard.examples[0].position} to {shard.examples[-1].position}"
