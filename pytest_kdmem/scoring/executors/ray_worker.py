"""What a worker of a Ray cluster does: a `Scorer` in a process of its own, on whatever node it was placed."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, replace
from importlib.metadata import version

import pyarrow as pa

from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.job import Job, Scorer, Task
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint


class RayWorker:
    """The models of one run on one node. Nothing of a framework is imported before a model is loaded."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def placed(self) -> None:
        """Answers once the process stands."""

    def load(self, task: Task, release: str, threads: int | None) -> None:
        """Load the models of a run.

        Args:
            task: the run, as the driver has it; a model's folder may be another one here.
            release: version of this package that the driver runs.
            threads: that torch may use on CPUs, so that figures do not depend on how many CPUs the node has.

        Raises:
            EngineError: models or versions here are not those of the driver, or a model cannot be loaded.
        """
        if (here := version("pytest-kdmem")) != release:
            raise EngineError(
                f"pytest-kdmem {release} was expected on node {platform.node()}, as on the one that began the run;"
                f" found {here}: install the same version on all nodes."
            )
        task = task.mapped(_here)
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(threads)
            import torch

            torch.set_num_threads(threads)
        self._scorer = task.open()

    def rows(self, shard: Shard) -> bytes:
        """The rows of a shard as an Arrow stream: a copy, which stays when Ray's memory is gone.

        Raises:
            EngineError: the model gives NaN, or runs out of memory.
        """
        assert self._scorer is not None
        table = self._scorer.rows(shard, lambda examples: None)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue().to_pybytes())

    def close(self) -> None:
        """Give the model's memory back, and end what an engine runs beside this process."""
        if self._scorer is not None:
            self._scorer.close()
            self._scorer = None


def _here(job: Job) -> Job:
    """A model's job with what is known of the model on this node."""
    checkpoint = _same_checkpoint(job)
    _check_numerics(job, checkpoint)
    return replace(job, checkpoint=checkpoint)


def _same_checkpoint(job: Job) -> Checkpoint:
    """The model as this node has it."""
    source, node = job.model.source, platform.node()
    try:
        found = open_checkpoint(job.model, offline=job.settings.offline)
    except SpecError as error:
        raise EngineError(
            f"Model {source} was expected on node {node}, too, and cannot be used there ({str(error).rstrip('.')});"
            " keep it in a folder that all nodes share, or name a hub id."
        ) from None
    if found.digest != job.checkpoint.digest:
        raise EngineError(
            f"Model {source} was expected to be the same on node {node} (digest {job.checkpoint.digest[:12]}), and"
            f" another lies there ({found.digest[:12]}); keep it in a folder that all nodes share, or name a hub id"
            " with its revision."
        )
    return found


def _check_numerics(job: Job, checkpoint: Checkpoint) -> None:
    """Scores are stored as those of the driver's versions, so these must be the ones that make them."""
    asked = job.numerics
    found = resolve_numerics(
        job.model, checkpoint, engine=asked.engine, device=asked.device, dtype=asked.dtype, metrics=job.metrics
    )
    here = asdict(found)
    differing = {name: (value, here[name]) for name, value in asdict(asked).items() if here[name] != value}
    if differing:
        name, (expected, other) = next(iter(differing.items()))
        raise EngineError(
            f"{name} {expected} was expected on node {platform.node()}, as on the one that began the run; found"
            f" {other}: install the same versions on all nodes."
        )
