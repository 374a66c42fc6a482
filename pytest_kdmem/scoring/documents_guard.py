"""Holds the losses of some documents of a training set against those in other readings, and stores them.

The losses are computed when the models are loaded to score the set, and stored beside its scores. So an audit whose
scores are stored decides from stored losses and loads no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.document_sample import DocumentSample
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.readings import ReadingsDiffer
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.scoring.loss_shard import COLUMN
from pytest_kdmem.scoring.reading_check import (
    ReadingLosses,
    foreign_warning,
    likelier_error,
    likelier_warning,
    mixed_warning,
    noise_warning,
)
from pytest_kdmem.scoring.reading_plan import ReadingPlan, plan_reading
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import TrainingSet

# Raised when other readings are compared, or in another way, than before.
PROTOCOL = 3
NOT_CHECKED = (
    "the model runs on several GPUs with vLLM alone, so whether its losses fit the declared reading was not checked"
)


@dataclass(frozen=True)
class ReadingNotes:
    """What losses tell about one model and the training set, besides what stops a run.

    Attributes:
        warnings: Everything that is to be reported.
        noise: Why what the model does not recite clearly shows nothing; empty if it may show something.
    """

    warnings: tuple[str, ...] = ()
    noise: str = ""


@dataclass
class DocumentsGuard:
    """Checks how some documents of a training set are read by the models of one task.

    Attributes:
        task: The models that score the training set.
        training_set: The training set as declared.
        store: Where losses are read and stored.
        executor: Where models run.
        record_key: Digest of the source's content and of how it is read; None if its content has none.
        sample: Draws the documents; those at the beginning of the source are taken if None.
        beginning: The guard of the beginning, whose tokenizer serves for drawn documents, too.
    """

    task: Task
    training_set: TrainingSet
    store: ScoreStore
    executor: Executor
    record_key: str | None
    sample: DocumentSample | None = None
    beginning: DocumentsGuard | None = None
    # For each model, its losses, or None if there is nothing to compare; empty until they are known.
    _losses: tuple[ReadingLosses | None, ...] = field(default=(), init=False)
    _plan: ReadingPlan | None = field(default=None, init=False)
    _is_unchecked: bool = field(default=False, init=False)

    def shards(self) -> Iterator[Shard]:
        """The sequences whose losses are to be computed with those of the run; none if these are stored."""
        if self._gives_losses and not self._is_known() and self._plan is not None:
            yield self._plan.shard

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

    def check(self, *others: DocumentsGuard) -> None:
        """Judge the losses of every model; those that are not stored are computed.

        Args:
            others: Guards of other documents of the same training set, which are checked with the same loaded models.

        Raises:
            SpecError: Another reading is clearly likelier to a model.
            KdmemError: The losses cannot be computed.
        """
        guards = (self, *others)
        if missing := [guard for guard in guards if not guard._is_known() and guard._plan is not None]:
            self._score_alone(missing)
        for guard in guards:
            guard._judge_all()

    def _judge_all(self) -> None:
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

    def notes(self, model: int, *, recites: bool) -> ReadingNotes:
        """How one model finds the documents.

        Args:
            model: Place of the model in the task.
            recites: Whether it recites any of them; what it recites is no noise to it.
        """
        losses = self._losses[model]
        if losses is None:
            return ReadingNotes((NOT_CHECKED,) if self._is_unchecked else ())
        likelier = losses.likelier()
        warnings = (likelier_warning(likelier),) if likelier is not None else ()
        if losses.is_noise and not recites:
            noise = noise_warning(losses)
            return ReadingNotes((*warnings, noise), noise if losses.is_unlikely else "")
        if losses.foreign:
            foreign = foreign_warning(losses)
            return ReadingNotes((*warnings, foreign), foreign)
        # Of few texts, some may rightly be known to a model, as it recites them, and all others be noise to it.
        is_told = losses.is_mixed and self.sample is not None
        return ReadingNotes((*warnings, mixed_warning(losses)) if is_told else warnings)

    def _score_alone(self, guards: Sequence[DocumentsGuard]) -> None:
        """Load the models for the losses of these guards alone."""
        task = self.task.mapped(_by_transformers)
        try:
            shards = [guard._plan.shard for guard in guards if guard._plan is not None]
            with closing(self.executor.score(task, shards, NO_PROGRESS)) as scored:
                for digest, rows in scored:
                    any(guard.takes(digest, rows) for guard in guards)
        except EngineError:
            if all(job.settings.tensor_parallel == 1 for job in self.task.jobs):
                raise
            # vLLM runs the model over several GPUs, and transformers runs it on one.
            for guard in guards:
                guard._losses = (None,) * len(self.task.jobs)
                guard._is_unchecked = True

    @property
    def _gives_losses(self) -> bool:
        """Whether the engines of the run give losses: the transformers engine, which decides what vLLM screens, too."""
        return all(job.numerics.engine == "transformers" or job.numerics.screen is not None for job in self.task.jobs)

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

    @cached_property
    def _source(self) -> Source:
        if self.beginning is not None:
            return self.beginning._source
        job = self.task.jobs[0]
        tokenizer = open_tokenizer(job.model, job.checkpoint, self.training_set)
        return Source(self.training_set, tokenizer, job.checkpoint, job.extraction, offline=job.settings.offline)

    def _made_plan(self) -> ReadingPlan | None:
        source = self._source
        documents = source.documents() if self.sample is None else self.sample.documents(self._read_all)
        vocabulary = min(job.checkpoint.vocabulary for job in self.task.jobs)
        with suppress(ReadingsDiffer):  # where scoring reads on, they differ only behind what it reads
            return plan_reading(source, vocabulary, documents, from_start=self.sample is None)
        return None

    def _read_all(self) -> Iterator[Document]:
        offline = self.task.jobs[0].settings.offline
        return self.executor.documents(self.training_set, offline=offline)

    def _read(self, content: str) -> tuple[ReadingLosses | None, ...]:
        """The stored losses of all models; empty if those of one are missing."""
        losses: list[ReadingLosses | None] = []
        for job in self.task.jobs:
            if (entry := self.store.read_entry("readings", self._key(job, content))) is None:
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
            self.store.write_entry("readings", self._key(job, content), entry)

    def _key(self, job: Job, content: str) -> str:
        """The store's key of a model's losses over these documents of a training set with this content."""
        return digest_of([PROTOCOL, job.checkpoint.digest, content, "first" if self.sample is None else "rest"])


def _by_transformers(job: Job) -> Job:
    """The job on the transformers engine, which alone gives losses."""
    if job.numerics.engine == "transformers":
        return job
    settings = replace(job.settings, engine="transformers", tensor_parallel=1)
    numerics = replace(job.numerics, engine="transformers", vllm=None)
    return replace(job, numerics=numerics, metrics="verdict", settings=settings)
