"""Scores models over training sets: one model, or teacher and baseline together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.progress import NO_PROGRESS, Progress, status_of
from pytest_kdmem.corpus.sources import check_source
from pytest_kdmem.corpus.special_tokens import UndeclaredSpecialTokens
from pytest_kdmem.engines.numerics import numerics_of_run
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import EngineError, PartScored, SpecError
from pytest_kdmem.scoring.combine_engines import combine_engines
from pytest_kdmem.scoring.documents_guard import DocumentsGuard
from pytest_kdmem.scoring.forecast import end_dry_run
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.scoring.keys import pair_key, row_keys
from pytest_kdmem.scoring.pair_job import PairJob
from pytest_kdmem.scoring.reading_guard import ReadingGuard
from pytest_kdmem.scoring.run import RunResult, ScoreRun, executor_of
from pytest_kdmem.scoring.special_tokens import answered
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import PairTable, ScoreTable, screening_of, tolerance_of
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.notes import notes_on
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.tokenizer_content import check_same_tokenizer


@dataclass(frozen=True)
class _Scoring:
    """What is scored, over what, and how; every engine and model of one call shares it."""

    training_set: TrainingSet
    extraction: Extraction
    store: ScoreStore
    settings: RunSettings
    progress: Progress


def score(
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    checkpoint: Checkpoint | None = None,
    settings: RunSettings | None = None,
    metrics: Metrics = "all",
    progress: Progress = NO_PROGRESS,
) -> ScoreTable:
    """Score every example of a training set, reading from the store what it holds already.

    Args:
        model: The model to score.
        training_set: The examples.
        extraction: Lengths of prefix, suffix and window.
        store: Where scores are read and stored.
        checkpoint: The model's files if they are open already; opened here if None.
        settings: How the model is run; the defaults if None.
        metrics: ``verdict`` decides what is memorized and stops early on what is not; ``all`` fills every column.
        progress: Receives the number of examples done.

    Raises:
        PartScored: Only a part was to be scored, and it is in the store now; or, as `DryRun`, nothing was.
        KdmemError: Model, training set or store cannot be used; shards that were completed before stay stored.
    """
    scoring = _Scoring(training_set, training_set.lengths(extraction), store, settings or RunSettings(), progress)
    check_source(training_set)
    with status_of(progress, f"opening {model.name}"):
        if checkpoint is None:
            checkpoint = open_checkpoint(model, offline=scoring.settings.offline)
        job = _job(model, checkpoint, scoring, metrics)
        if scoring.settings.dry_run:
            end_dry_run([_score_run(each, (row_keys(each),), scoring) for each in _jobs_of_engines(job, scoring)])
        if job.numerics.engine == "vllm" and metrics == "all":
            return _score_with_both_engines(job, scoring)
        return _score_job(job, scoring)


def score_pair(
    teacher: Model,
    baseline: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    progress: Progress = NO_PROGRESS,
) -> PairTable:
    """Score every example by two models in one pass over both, which also gives their divergence.

    Each model's rows are the same as those of `score`, and stored in the same place. Only the transformers engine gives
    the divergence, so it is used whatever engine the settings name.

    Args:
        teacher: The teacher.
        baseline: The baseline.
        training_set: The examples.
        extraction: Lengths of prefix, suffix and window.
        store: Where scores are read and stored.
        settings: How the models are run; the defaults if None.
        progress: Receives the number of examples done.

    Raises:
        PartScored: Only a part was to be scored, and it is in the store now.
        SpecError: The models have different tokenizers, so their distributions cannot be compared.
        KdmemError: Models, training set or store cannot be used; shards that were completed before stay stored.
    """
    settings = replace(settings or RunSettings(), engine="transformers", tensor_parallel=1)
    scoring = _Scoring(training_set, training_set.lengths(extraction), store, settings, progress)
    check_source(training_set)
    with status_of(progress, f"opening {teacher.name} and {baseline.name}"):
        task = PairJob(
            *(
                _job(model, open_checkpoint(model, offline=settings.offline), scoring, "all")
                for model in (teacher, baseline)
            )
        )
        check_same_tokenizer({f"{job.model.name} ({job.model.source})": job.checkpoint for job in task.jobs})
        keys = (*map(row_keys, task.jobs), (pair_key(task),))
        if settings.dry_run:
            end_dry_run([_score_run(task, keys, scoring)])
        result = _run(task, keys, scoring)
    sides = [_table(task, side, training_set, result) for side in range(2)]
    return PairTable(sides[0], sides[1], pa.concat_tables(result.tables[2]).replace_schema_metadata(None))


def check_positions(model: Model, checkpoint: Checkpoint, extraction: Extraction) -> None:
    """Raise SpecError if the lengths exceed the number of positions that the model has."""
    if checkpoint.positions is None:
        return
    for what, tokens, way_out in (
        (
            "prefix-tokens and suffix-tokens ask",
            extraction.scored_tokens,
            "set shorter --kdmem-prefix-tokens and --kdmem-suffix-tokens",
        ),
        (
            "window-tokens asks",
            extraction.window_tokens,
            f"set --kdmem-window-tokens={checkpoint.positions}, or as many as training had",
        ),
    ):
        if tokens > checkpoint.positions:
            raise SpecError(
                f"At most {checkpoint.positions} positions were expected by model {model.source}, and {what} for"
                f" {tokens}; {way_out}."
            )


def _score_job(job: Job, scoring: _Scoring) -> ScoreTable:
    return _table(job, 0, scoring.training_set, _run(job, (row_keys(job),), scoring))


def _score_with_both_engines(job: Job, scoring: _Scoring) -> ScoreTable:
    """Take the verdicts from vLLM and every other column, which vLLM cannot give, from transformers.

    The engines run one after the other, and each one's rows are stored as its own.
    """
    tables = []
    unfinished: PartScored | None = None
    for settings, metrics in settings_by_engine(scoring.settings):
        engine_scoring = replace(scoring, settings=settings)
        try:
            tables.append(_score_job(_job(job.model, job.checkpoint, engine_scoring, metrics), engine_scoring))
        except PartScored as part:
            unfinished = part
    if unfinished is not None:
        raise unfinished
    verdicts, columns = tables
    return combine_engines(verdicts, columns)


def _jobs_of_engines(job: Job, scoring: _Scoring) -> list[Job]:
    """The job of each engine that a job needs."""
    if job.numerics.engine != "vllm" or job.metrics != "all":
        return [job]
    return [
        _job(job.model, job.checkpoint, replace(scoring, settings=settings), metrics)
        for settings, metrics in settings_by_engine(scoring.settings)
    ]


def _score_run(task: Task, keys: tuple[tuple[str, ...], ...], scoring: _Scoring) -> ScoreRun:
    executor = executor_of(scoring.settings)
    return ScoreRun(task, keys, scoring.training_set, scoring.store, executor, scoring.progress)


def settings_by_engine(settings: RunSettings) -> tuple[tuple[RunSettings, Metrics], ...]:
    """Settings and metrics of vLLM's run, and of the run of transformers, which shares no model between GPUs."""
    return (
        (replace(settings, engine="vllm"), "verdict"),
        (replace(settings, engine="transformers", tensor_parallel=1), "all"),
    )


def _job(model: Model, checkpoint: Checkpoint, scoring: _Scoring, metrics: Metrics) -> Job:
    settings = scoring.settings
    check_positions(model, checkpoint, scoring.extraction)
    numerics = numerics_of_run(model, checkpoint, settings, metrics)
    return Job(model, checkpoint, scoring.extraction, numerics, metrics, settings)


def _run(task: Task, keys: tuple[tuple[str, ...], ...], scoring: _Scoring) -> RunResult:
    """All rows of a task, or PartScored if only a part of them was to be scored."""
    settings, source = scoring.settings, scoring.training_set.source
    run = _score_run(task, keys, scoring)
    guard = ReadingGuard(DocumentsGuard(task, scoring.training_set, scoring.store, run.executor, run.record_key()))
    # Parts have locks of their own, so that they do not wait for each other.
    part = f"-{settings.part.number}-of-{settings.part.count}" if settings.part else ""
    names = " and ".join(job.model.name for job in task.jobs)
    with scoring.store.lock(
        keys[-1][-1] + part, lambda: scoring.progress.status(f"waiting for another process that scores {names}")
    ):
        try:
            result = run.read_all() or run.score_missing(guard)
        except UndeclaredSpecialTokens as error:
            raise answered(error, guard.first) from None
        if result is not None or settings.part is not None:
            guard.check()
    if settings.part is not None:
        sources = " and ".join(job.model.source for job in task.jobs)
        raise PartScored(
            f"Part {settings.part} of {sources} over {source} is scored; its figures are computed once all parts are."
        )
    if result is None:
        raise EngineError(
            f"Rows of every shard of {source} were expected of the {settings.executor} executor, and some are missing;"
            " run it again."
        )
    models = range(len(task.jobs))
    return replace(result, notes=guard.notes(recites=[_recites(result.tables[model]) for model in models]))


def _recites(tables: Sequence[pa.Table]) -> bool:
    return any(pc.any(table["memorized"]).as_py() for table in tables)


def _table(task: Task, model: int, training_set: TrainingSet, result: RunResult) -> ScoreTable:
    """The rows of one model of a task, by its place in it."""
    job, tables = task.jobs[model], result.tables[model]
    return ScoreTable(
        model=job.model,
        checkpoint=job.checkpoint,
        training_set=training_set,
        record=result.record,
        numerics=job.numerics,
        extraction=job.extraction,
        rows=pa.concat_tables([table.replace_schema_metadata(None) for table in tables]),
        tolerance=tolerance_of(tables),
        scored_now=result.scored_now,
        notes=(*result.notes[model].warnings, *notes_on(job.checkpoint)),
        noise=result.notes[model].noise,
        screening=screening_of(tables),
    )
