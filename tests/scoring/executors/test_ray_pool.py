"""What becomes of shards whose worker is lost, fails, or finds no room."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors import ray_pool
from pytest_kdmem.scoring.executors.ray_cluster import cluster
from pytest_kdmem.scoring.executors.ray_pool import WorkerPool
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings
from tests.scoring.executors.ray_workers import all_gone

ray = pytest.importorskip("ray")


class DeadlyShard(Shard):
    """Ends every process that receives it, as one does that takes too much memory."""

    def __reduce__(self):
        return os._exit, (1,)


def job_of(folder, *, device: str = "cpu", **settings) -> Job:
    model = Model(str(folder), dtype="float32")
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device=device, dtype="float32", metrics="verdict"
    )
    return Job(model, checkpoint, Extraction(20, 20, 40), numerics, "verdict", RunSettings(**settings))


def shard_at(position: int, kind: type[Shard] = Shard) -> Shard:
    ids = np.random.default_rng(position).integers(1, 290, (4, 40), dtype=np.int32)
    return kind(tuple(Example(position + row, ids[row]) for row in range(4)))


@contextmanager
def pool_of(job: Job, *, workers: int | None = 1, cpus: int = 1):
    with cluster() as connected, closing(WorkerPool(connected, job, workers, cpus)) as pool:
        yield pool
    assert all_gone()


def score_all(job: Job, shards: list[Shard], **options) -> list[Shard]:
    with pool_of(job, **options) as pool:
        return [shard for shard, _ in pool.score(iter(shards))]


def test_rows_are_those_of_their_shards(on_cluster, tiny):
    shards = [shard_at(position) for position in (0, 4, 8)]
    with pool_of(job_of(tiny)) as pool:
        scored = list(pool.score(iter(shards)))
    assert [shard.digest for shard, _ in scored] == [shard.digest for shard in shards]
    assert all(rows_digest(rows) == shard.digest for shard, rows in scored)


@pytest.mark.slow
def test_a_shard_that_ends_worker_after_worker_ends_the_run(on_cluster, tiny, monkeypatch):
    monkeypatch.setattr(ray_pool, "SHARDS_PER_WORKER", 1)
    monkeypatch.setattr(ray_pool, "MOST_LOSSES", 2)
    shards = [shard_at(12), shard_at(16, DeadlyShard)]
    with pytest.raises(EngineError, match=r"and 2 died at examples 16 to 19 of model .*look at the memory") as caught:
        score_all(job_of(tiny), shards)
    assert "\n" not in str(caught.value)


def test_an_error_of_another_package_in_a_worker_is_one_sentence_without_its_text(on_cluster, tiny):
    """Its text may hold what it was given, which is training text. Ids of two dimensions make numpy raise."""
    broken = Shard((Example(0, np.ones((40, 2), dtype=np.int32)),))
    with pytest.raises(EngineError, match=r", and (Value|Type)Error was raised there; run it without") as caught:
        score_all(job_of(tiny), [broken])
    assert "\n" not in str(caught.value)
    assert "broadcast" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("device", "cpus", "message"),
    [
        ("cpu", 3, r"node with 3 CPUs .*found nodes of at most 1: .*--kdmem-cpus-per-worker"),
        ("cuda", 1, r"node with 1 GPUs .*found nodes of at most 0: .*--kdmem-device cpu"),
    ],
)
def test_workers_that_fit_on_no_node_are_refused_at_once(on_cluster, tiny, device, cpus, message):
    with pytest.raises(EngineError, match=message):
        score_all(job_of(tiny, device=device), [shard_at(0)], cpus=cpus)


def test_workers_that_find_no_room_are_not_waited_for_without_end(on_cluster, tiny, monkeypatch):
    monkeypatch.setattr(ray_pool, "SECONDS_TO_BE_PLACED", 2.0)

    @ray.remote(num_cpus=1)
    class Other:
        def ready(self):
            pass

    with cluster():
        others = [Other.remote() for _ in range(2)]
        ray.get([other.ready.remote() for other in others])
        with pytest.raises(EngineError, match=r"find 1 CPUs .*within 2 s, and others hold them \(0 free in all\)"):
            score_all(job_of(tiny), [shard_at(0)])
