"""A worker of a Ray cluster: loads the models of a run in a process on some node, and scores shards with them."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, replace

import pyarrow as pa

from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.job import Job, Scorer, Task
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint


class RayWorker:
    """The models of one run on one node. No framework is imported before a model is loaded."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def placed(self) -> None:
        """Return once the process runs."""

    def load(self, task: Task, release: str, threads: int | None) -> None:
        """Load the models of a run.

        Args:
            task: The driver's task; the folder of a model may differ on this node.
            release: The driver's version of this package.
            threads: Threads of torch on CPUs, so that scores do not depend on how many CPUs the node has.

        Raises:
            EngineError: A model or a version on this node differs from the driver's, or a model cannot be loaded.
        """
        if (installed := installed_version("pytest-kdmem")) != release:
            raise EngineError(
                f"pytest-kdmem {release} was expected on node {platform.node()}, as on the one that began the run;"
                f" found {installed}: install the same version on all nodes."
            )
        task = task.mapped(_job_on_this_node)
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(threads)
            import torch

            torch.set_num_threads(threads)
        self._scorer = task.open()

    def rows(self, shard: Shard) -> bytes:
        """Score a shard; returns its rows as an Arrow stream, a copy that does not lie in Ray's memory.

        Raises:
            EngineError: A model gives NaN, or runs out of memory.
        """
        assert self._scorer is not None
        table = self._scorer.rows(shard, lambda examples: None)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue().to_pybytes())

    def close(self) -> None:
        """Free the models' memory, and end the processes of their engines."""
        if self._scorer is not None:
            self._scorer.close()
            self._scorer = None


def _job_on_this_node(job: Job) -> Job:
    """The job with the model's checkpoint as this node has it."""
    checkpoint = _same_checkpoint(job)
    _check_numerics(job, checkpoint)
    return replace(job, checkpoint=checkpoint)


def _same_checkpoint(job: Job) -> Checkpoint:
    """Open the model on this node, and check that it is the driver's."""
    source, node = job.model.source, platform.node()
    try:
        checkpoint = open_checkpoint(job.model, offline=job.settings.offline)
    except SpecError as error:
        raise EngineError(
            f"Model {source} was expected on node {node}, too, and cannot be used there ({str(error).rstrip('.')});"
            " keep it in a folder that all nodes share, or name a hub id."
        ) from None
    if checkpoint.digest != job.checkpoint.digest:
        raise EngineError(
            f"Model {source} was expected to be the same on node {node} (digest {job.checkpoint.digest[:12]}), and"
            f" another one is there ({checkpoint.digest[:12]}); keep it in a folder that all nodes share, or name a hub"
            " id with its revision."
        )
    return checkpoint


def _check_numerics(job: Job, checkpoint: Checkpoint) -> None:
    """Check that this node has the driver's versions, since the scores are stored as those of the driver's."""
    expected = job.numerics
    resolved = resolve_numerics(
        job.model,
        checkpoint,
        engine=expected.engine,
        device=expected.device,
        dtype=expected.dtype,
        metrics=job.metrics,
    )
    # A node whose CPU screens no faster computes the same as one whose CPU does.
    installed = asdict(replace(resolved, screen=expected.screen))
    differing = [name for name, value in asdict(expected).items() if installed[name] != value]
    if differing:
        name = differing[0]
        raise EngineError(
            f"{name} {asdict(expected)[name]} was expected on node {platform.node()}, as on the one that began the run;"
            f" found {installed[name]}: install the same versions on all nodes."
        )
