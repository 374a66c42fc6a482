"""Model × training set → score table, and teacher × baseline × training set → their table of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.corpus.sources import check_source
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import EngineError, PartScored, SpecError
from pytest_kdmem.scoring.combine_engines import combine_engines
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.pair_job import PairJob
from pytest_kdmem.scoring.run import PROTOCOL, Scored, ScoreRun
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint, check_same_tokenizer, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


def score(
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    metrics: Metrics = "all",
    progress: Progress = NO_PROGRESS,
) -> ScoreTable:
    """Score every example of a training set, reading from the store what it holds already.

    Args:
        metrics: ``verdict`` settles what is memorized and stops early on what is not; ``all`` fills every column.
        progress: told of the examples done.

    Raises:
        PartScored: only a part was asked for; it is in the store now.
        KdmemError: model, training set or store cannot be used; whole shards scored before stay stored.
    """
    settings = settings or RunSettings()
    check_source(training_set)
    job = _job(model, extraction, settings, metrics)
    if job.numerics.engine == "vllm" and metrics == "all":
        # vLLM cannot give whole-vocabulary figures: these are the transformers engine's, and the verdicts its own.
        return _both_engines(model, training_set, extraction, store, settings, progress)
    scored = _run(ScoreRun(job, (_keys(job),), training_set, store, progress))
    return _table(job, training_set, scored.tables[0], scored)


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
    """Score every example by two models in one pass over both, which also tells how far they are apart.

    Each model's rows are those that `score` gives of it, stored in the same place; only the transformers engine gives
    the divergence, whatever engine the settings name.

    Raises:
        PartScored: only a part was asked for; it is in the store now.
        SpecError: the two models' tokenizers differ, so that their distributions cannot be compared.
        KdmemError: models, training set or store cannot be used; whole shards scored before stay stored.
    """
    settings = replace(settings or RunSettings(), engine="transformers", tensor_parallel=1)
    check_source(training_set)
    task = PairJob(*(_job(model, extraction, settings, "all") for model in (teacher, baseline)))
    check_same_tokenizer(
        {f"{job.model.name} ({job.model.source})": job.checkpoint.tokenizer_digest for job in task.jobs}
    )
    keys = (*map(_keys, task.jobs), (_pair_key(task),))
    scored = _run(ScoreRun(task, keys, training_set, store, progress))
    sides = [_table(job, training_set, tables, scored) for job, tables in zip(task.jobs, scored.tables, strict=False)]
    return PairTable(sides[0], sides[1], pa.concat_tables(scored.tables[2]))


def check_positions(model: Model, checkpoint: Checkpoint, extraction: Extraction) -> None:
    """Raise SpecError where the lengths asked for exceed what the model was built for."""
    if checkpoint.positions is None:
        return
    for what, tokens in (
        ("prefix-tokens and suffix-tokens", extraction.scored_tokens),
        ("window-tokens", extraction.window_tokens),
    ):
        if tokens > checkpoint.positions:
            raise SpecError(
                f"At most {checkpoint.positions} positions were expected by model {model.source}, and {what} ask for"
                f" {tokens}; set shorter --kdmem-{what.replace(' and ', ' and --kdmem-')}."
            )


def _both_engines(
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    settings: RunSettings,
    progress: Progress,
) -> ScoreTable:
    """One run after the other, each stored as what it is."""
    tables, parts = [], []
    for engine, metrics in (("vllm", "verdict"), ("transformers", "all")):
        one = replace(settings, engine=engine)
        try:
            tables.append(
                score(model, training_set, extraction, store, settings=one, metrics=metrics, progress=progress)  # type: ignore[arg-type]
            )
        except PartScored as scored:
            parts.append(scored)
    if parts:
        raise parts[-1]
    verdicts, columns = tables
    return combine_engines(verdicts, columns)


def _job(model: Model, extraction: Extraction, settings: RunSettings, metrics: Metrics) -> Job:
    checkpoint = open_checkpoint(model, offline=settings.offline)
    check_positions(model, checkpoint, extraction)
    numerics = resolve_numerics(
        model, checkpoint, engine=settings.engine, device=settings.device, dtype=settings.dtype, metrics=metrics
    )
    return Job(model, checkpoint, extraction, numerics, metrics, settings)


def _run(run: ScoreRun) -> Scored:
    """All rows of a run, or PartScored."""
    jobs = run.task.jobs
    settings, source = jobs[0].settings, run.training_set.source
    part = (
        f"-{settings.part.number}-of-{settings.part.count}" if settings.part else ""
    )  # parts do not wait for each other
    with run.store.lock(run.keys[-1][-1] + part):
        scored = run.remembered() or run.streamed()
    if settings.part is not None:
        names = " and ".join(job.model.source for job in jobs)
        raise PartScored(
            f"Part {settings.part} of {names} over {source} is scored; its figures wait for the other parts."
        )
    if scored is None:
        raise EngineError(
            f"Rows of every shard of {source} were expected of the {settings.executor} executor, and some are missing;"
            " run it again."
        )
    return scored


def _keys(job: Job) -> tuple[str, ...]:
    """Where scores may lie: every column serves where verdicts are asked for; the last key is the run's own."""
    asked: tuple[Metrics, ...] = ("all", "verdict") if job.metrics == "verdict" else ("all",)
    return tuple(
        f"{job.checkpoint.digest[:16]}-{_protocol(job, metrics)}-{job.numerics.digest[:8]}" for metrics in asked
    )


def _pair_key(task: PairJob) -> str:
    """Where the divergence of two models lies."""
    models = digest_of([job.checkpoint.digest for job in task.jobs])
    numerics = digest_of([job.numerics.digest for job in task.jobs])
    return f"{models[:16]}-{_protocol(task.teacher, 'kl')}-{numerics[:8]}"


def _protocol(job: Job, metrics: str) -> str:
    return digest_of([PROTOCOL, job.extraction.prefix_tokens, job.extraction.suffix_tokens, metrics])[:8]


def _table(job: Job, training_set: TrainingSet, tables: Sequence[pa.Table], scored: Scored) -> ScoreTable:
    record: CorpusRecord = scored.record
    return ScoreTable(
        model=job.model,
        checkpoint=job.checkpoint,
        training_set=training_set,
        record=record,
        numerics=job.numerics,
        extraction=job.extraction,
        rows=pa.concat_tables([table.replace_schema_metadata(None) for table in tables]),
        tolerance=max(float(table.schema.metadata[b"tolerance"]) for table in tables),
        scored_now=scored.scored_now,
    )
