"""The workers of one run on a Ray cluster: hands them shards, receives rows, and replaces workers that are lost.

Workers are plain actors and no stage of a Ray Data pipeline. So a lost worker loses the shards it was given and nothing
else, finished rows reach the store one shard at a time, and reading takes no CPUs that scoring waits for.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.file_lines import first_line
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.errors import EngineError, KdmemError
from pytest_kdmem.scoring.executors.ray_reading import cause_of
from pytest_kdmem.scoring.executors.ray_worker import RayWorker
from pytest_kdmem.scoring.job import Job, Task

SHARDS_PER_WORKER = 2  # one that is scored and one that waits, so that the worker does not wait
# Number of workers that may be lost over one shard, or while loading, before the run ends.
MOST_LOSSES = 3
SECONDS_TO_BE_PLACED = 60.0
SECONDS_TO_CLOSE = 10.0
LOADING = "loading"


@dataclass(eq=False)
class _Worker:
    """An actor, how far it has started, and the shards it was given, in the order in which it scores them."""

    actor: Any
    placed: bool = False
    loaded: bool = False
    shards: deque[Shard] = field(default_factory=deque)


class WorkerPool:
    """The workers of a run and the shards they are given.

    Args:
        ray: The module ``ray``, connected to a cluster.
        task: The models to score with.
        workers: Largest number of workers; as many as the cluster has room for if None.
        cpus: CPUs, and threads, of a worker without GPU.

    Raises:
        EngineError: No node is large enough for a worker.
    """

    def __init__(self, ray: Any, task: Task, workers: int | None, cpus: int) -> None:
        self._ray = ray
        job = task.jobs[0]
        on_gpus = job.numerics.device == "cuda"
        self._needs = {"GPU": job.settings.tensor_parallel} if on_gpus else {"CPU": cpus}
        self._threads = None if on_gpus else cpus
        self._task = task.mapped(_with_absolute_path)
        options = {"num_cpus": self._needs.get("CPU", 0), "num_gpus": self._needs.get("GPU", 0), "max_restarts": 0}
        self._actor_class = ray.remote(**options)(RayWorker)
        room = self._room()
        self._workers: list[_Worker] = []
        # By the reference to a result that is awaited: its worker, and its shard unless the worker is starting.
        self._pending: dict[Any, tuple[_Worker, Shard | None]] = {}
        self._lost_shards: deque[Shard] = deque()
        self._losses: Counter[str] = Counter()
        self._last_start = time.monotonic()
        for _ in range(min(workers or room, room)):
            self._start_worker()

    def score(self, shards: Iterator[Shard]) -> Iterator[tuple[Shard, pa.Table]]:
        """Yield each shard with its rows once it is done; a shard is read when there is a worker for it.

        Raises:
            EngineError: No worker can be placed, or worker after worker is lost over one shard or while loading.
            KdmemError: A worker or ``shards`` raises it.
        """
        exhausted = False
        while True:
            free = [worker for worker in self._workers if worker.loaded and len(worker.shards) < SHARDS_PER_WORKER]
            shards_left = bool(self._lost_shards) or not exhausted
            if not shards_left and not any(worker.shards for worker in self._workers):
                return
            can_give = bool(free) and shards_left
            # Finished rows are handed on before the next shard is read.
            if (reference := self._next_done(wait=not can_give)) is not None:
                if (done := self._result(reference)) is not None:
                    yield done
            elif can_give:
                shard = self._lost_shards.popleft() if self._lost_shards else next(shards, None)
                exhausted = exhausted or shard is None
                if shard is not None:
                    self._give(min(free, key=lambda worker: len(worker.shards)), shard)

    def close(self) -> None:
        """End the workers. Those that are idle may close their engines first; the others are killed."""
        with suppress(Exception):  # the cluster may be gone, and whatever ended it has been raised before
            idle = [worker.actor.close.remote() for worker in self._workers if worker.loaded and not worker.shards]
            if idle:
                self._ray.wait(idle, num_returns=len(idle), timeout=SECONDS_TO_CLOSE)
            for worker in self._workers:
                self._ray.kill(worker.actor)

    def _room(self) -> int:
        """Number of workers that the nodes would hold if nothing else ran on them."""
        [(resource, needed)] = self._needs.items()
        by_node = [int(node["Resources"].get(resource, 0)) for node in self._ray.nodes() if node["Alive"]]
        if not (room := sum(available // needed for available in by_node)):
            raise EngineError(
                f"A node with {needed} {resource}s for a worker was expected in the Ray cluster; found nodes of at most"
                f" {max(by_node, default=0)}: {self._way_out}."
            )
        return room

    @property
    def _model_names(self) -> str:
        return " and ".join(job.model.source for job in self._task.jobs)

    @property
    def _way_out(self) -> str:
        if "GPU" in self._needs:
            return "add GPU nodes, set a smaller --kdmem-tensor-parallel, or audit with --kdmem-device cpu"
        return "add nodes, or set a smaller --kdmem-cpus-per-worker"

    def _start_worker(self) -> None:
        worker = _Worker(self._actor_class.remote())
        self._workers.append(worker)
        self._pending[worker.actor.placed.remote()] = worker, None
        loading = worker.actor.load.remote(self._task, installed_version("pytest-kdmem"), self._threads)
        self._pending[loading] = worker, None
        self._last_start = time.monotonic()

    def _give(self, worker: _Worker, shard: Shard) -> None:
        worker.shards.append(shard)
        self._pending[worker.actor.rows.remote(shard)] = worker, shard

    def _next_done(self, *, wait: bool) -> Any:
        """The reference to a result that is ready; None if there is none and ``wait`` is false.

        Raises:
            EngineError: No worker could be placed within ``SECONDS_TO_BE_PLACED``.
        """
        placed = any(worker.placed for worker in self._workers)
        timeout = None if placed else max(0.0, self._last_start + SECONDS_TO_BE_PLACED - time.monotonic())
        done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=timeout if wait else 0)
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
        """A finished shard with its rows; None if a worker has started or is lost."""
        errors = self._ray.exceptions
        worker, shard = self._pending.pop(reference)
        try:
            value = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, KdmemError):
                raise error.cause from None
            # Only its type is reported: the message of another package may hold its input, which is training text.
            raise EngineError(
                f"Rows were expected of a worker of the Ray cluster for model {self._model_names}, and"
                f" {cause_of(error)} was raised there; run it without --kdmem-executor ray, which shows where."
            ) from None
        except errors.RayError as error:  # a process or a node is gone, or the result it held
            self._replace_worker(worker, error)
            return None
        if shard is None:
            worker.loaded = worker.placed  # `placed` answers first, `load` second
            worker.placed = True
            return None
        worker.shards.remove(shard)
        self._losses.pop(LOADING, None)
        with pa.ipc.open_stream(value) as stream:
            return shard, stream.read_all()

    def _replace_worker(self, worker: _Worker, error: Exception) -> None:
        """Take back a lost worker's shards and start another worker.

        Raises:
            EngineError: The package is missing on a node, or too many workers were lost over the shard that this one
                was scoring, which may be what ended them.
        """
        if getattr(error, "actor_init_failed", False):
            raise EngineError(
                "pytest-kdmem was expected on every node of the Ray cluster, and a worker could not import it; install"
                " the same version on all nodes."
            ) from error
        self._workers.remove(worker)
        self._pending = {reference: entry for reference, entry in self._pending.items() if entry[0] is not worker}
        self._lost_shards.extendleft(reversed(worker.shards))
        with suppress(Exception):
            self._ray.kill(worker.actor)  # it may run on, unreachable
        stage = f"examples {_span(worker.shards[0])}" if worker.shards else LOADING
        self._losses[stage] += 1
        if self._losses[stage] >= MOST_LOSSES:
            raise EngineError(
                f"Workers of Ray were expected to live, and {MOST_LOSSES} died at {stage} of model"
                f" {self._model_names} (the last one: {first_line(error)}); look at the memory of the nodes"
                " and at Ray's logs."
            ) from error
        self._start_worker()


def _with_absolute_path(job: Job) -> Job:
    """The job with its model's path made absolute, since a worker has another working directory."""
    folder = Path(job.model.source).expanduser()
    return replace(job, model=replace(job.model, source=str(folder.resolve()))) if folder.is_dir() else job


def _span(shard: Shard) -> str:
    return f"{shard.examples[0].position} to {shard.examples[-1].position}"
