"""Stops a run over a training set that is read otherwise than in training, as the losses of its models show.

The losses are computed when the models are loaded to score the set, and stored beside its scores. So an audit whose
scores are stored decides from stored losses and loads no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.tokenizer import ReadingsDiffer, open_tokenizer
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.scoring.loss_shard import COLUMN
from pytest_kdmem.scoring.reading_check import (
    ReadingLosses,
    likelier_error,
    likelier_warning,
    noise_warning,
)
from pytest_kdmem.scoring.reading_plan import ReadingPlan, plan_reading
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import TrainingSet

# Raised when other readings are compared, or in another way, than before.
PROTOCOL = 1
NOT_CHECKED = (
    "the model runs on several GPUs with vLLM alone, so whether its losses fit the declared reading was not checked"
)


@dataclass
class ReadingGuard:
    """Checks how one training set is read by the models of one task.

    Attributes:
        task: The models that score the training set.
        training_set: The training set as declared.
        store: Where losses are read and stored.
        executor: Where models run.
        record_key: Digest of the source's content and of how it is read; None if its content has none.
    """

    task: Task
    training_set: TrainingSet
    store: ScoreStore
    executor: Executor
    record_key: str | None
    # For each model, its losses, or None if there is nothing to compare; empty until they are known.
    _losses: tuple[ReadingLosses | None, ...] = ()
    _plan: ReadingPlan | None = None
    _is_unchecked: bool = False

    def with_losses(self, shards: Iterator[Shard]) -> Iterator[Shard]:
        """The shards of a run, and after the first of them the sequences that check the reading, if they are needed.

        The first shard comes first because errors about examples are clearer than errors about these sequences.
        """
        if (first := next(shards, None)) is None:
            return
        yield first
        if self._runs_transformers and not self._is_known() and self._plan is not None:
            yield self._plan.shard
        yield from shards

    def takes(self, shard: str, rows: pa.Table) -> bool:
        """Store and judge the losses of the sequences; False if the rows are those of another shard.

        Raises:
            SpecError: Another reading is clearly likelier to a model.
        """
        if self._plan is None or shard != self._plan.shard.digest:
            return False
        columns = [rows[COLUMN.format(model)].to_pylist() for model in range(len(self.task.jobs))]
        self._keep(tuple(self._plan.measure(column) for column in columns))
        self.check()
        return True

    def check(self) -> None:
        """Judge the losses of every model; those that are not stored are computed.

        Raises:
            SpecError: Another reading is clearly likelier to a model.
            KdmemError: The losses cannot be computed.
        """
        if not self._is_known() and self._plan is not None:
            self._score_alone(self._plan.shard)
        if not self._losses:
            raise EngineError(
                f"The losses that check how {self.training_set.source} is read were expected of the"
                f" {self.task.jobs[0].settings.executor} executor, and are missing; run it again."
            )
        for job, losses in zip(self.task.jobs, self._losses, strict=True):
            if losses is not None:
                self._judge(job, losses)

    @property
    def losses(self) -> tuple[ReadingLosses | None, ...]:
        """For each model, its losses, or None if there is nothing to compare; empty until they were checked."""
        return self._losses

    def notes(self, model: int, *, recites: bool) -> tuple[str, ...]:
        """Warnings about how one model finds the training set.

        Args:
            model: Place of the model in the task.
            recites: Whether it recites any example; what it recites is no noise to it.
        """
        losses = self._losses[model]
        if losses is None:
            return (NOT_CHECKED,) if self._is_unchecked else ()
        likelier = losses.likelier()
        warnings = [likelier_warning(likelier)] if likelier is not None else []
        if losses.is_noise and not recites:
            warnings.append(noise_warning(losses))
        return tuple(warnings)

    def _score_alone(self, shard: Shard) -> None:
        """Load the models for the losses alone."""
        task = self.task if self._runs_transformers else self.task.mapped(_by_transformers)
        try:
            with closing(self.executor.score(task, [shard], NO_PROGRESS)) as scored:
                for digest, rows in scored:
                    self.takes(digest, rows)
        except EngineError:
            if all(job.settings.tensor_parallel == 1 for job in self.task.jobs):
                raise
            # vLLM runs the model over several GPUs, and transformers runs it on one.
            self._losses = (None,) * len(self.task.jobs)
            self._is_unchecked = True

    @property
    def _runs_transformers(self) -> bool:
        return all(job.numerics.engine == "transformers" for job in self.task.jobs)

    def _judge(self, job: Job, losses: ReadingLosses) -> None:
        if (likelier := losses.likelier(job.settings.accepted_readings)) is not None:
            raise SpecError(likelier_error(likelier, job.model.source, self.training_set.source))

    def _is_known(self) -> bool:
        """Whether the losses of all models are here or in the store; if not, the plan to compute them is made."""
        if not self._losses and self.record_key is not None:
            self._losses = self._read(self.record_key)
        if not self._losses and self._plan is None:
            self._plan = self._made_plan()
            if self._plan is None:
                self._keep((None,) * len(self.task.jobs))
            elif self.record_key is None:
                self._losses = self._read(self._plan.shard.digest)
        return bool(self._losses)

    def _made_plan(self) -> ReadingPlan | None:
        job = self.task.jobs[0]
        tokenizer = open_tokenizer(job.model, job.checkpoint.folder, self.training_set)
        source = Source(
            self.training_set, tokenizer, job.checkpoint.folder, job.extraction, offline=job.settings.offline
        )
        with suppress(ReadingsDiffer):  # where scoring reads on, they differ only behind what it reads
            return plan_reading(source, min(job.checkpoint.vocabulary for job in self.task.jobs))
        return None

    def _read(self, content: str) -> tuple[ReadingLosses | None, ...]:
        """The stored losses of all models; empty if those of one are missing."""
        losses: list[ReadingLosses | None] = []
        for job in self.task.jobs:
            if (entry := self.store.read_entry("readings", _key(job, content))) is None:
                return ()
            try:
                stored = entry["losses"]
                losses.append(ReadingLosses.from_json(stored) if stored is not None else None)
            except (KeyError, TypeError, ValueError):
                return ()
        return tuple(losses)

    def _keep(self, losses: tuple[ReadingLosses | None, ...]) -> None:
        self._losses = losses
        content = self.record_key or (self._plan.shard.digest if self._plan is not None else None)
        if content is None:
            return
        for job, measured in zip(self.task.jobs, losses, strict=True):
            entry = {"losses": measured.to_json() if measured is not None else None}
            self.store.write_entry("readings", _key(job, content), entry)


def _key(job: Job, content: str) -> str:
    """The store's key of a model's losses over a training set with this content."""
    return digest_of([PROTOCOL, job.checkpoint.digest, content])


def _by_transformers(job: Job) -> Job:
    """The job on the transformers engine, which alone gives losses."""
    settings = replace(job.settings, engine="transformers", tensor_parallel=1)
    numerics = replace(job.numerics, engine="transformers", vllm=None)
    return replace(job, numerics=numerics, metrics="verdict", settings=settings)
