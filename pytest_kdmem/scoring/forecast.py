"""What scoring would take: read the training set, run a few batches, and store nothing (`--dry-run`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.base.text import count, duration, size
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusReader, Shard
from pytest_kdmem.corpus.sources import expected_examples
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.engines.load import device_to_itself
from pytest_kdmem.errors import DryRun, SpecError
from pytest_kdmem.scoring.job import Job, Task
from pytest_kdmem.scoring.run import ScoreRun

# Seconds after which no more of a training set is read to count its examples.
READING_SECONDS = 20.0
# Examples of the batch that is not timed, in which kernels are chosen and the numerics are measured.
WARM_UP = 8
# Batches grow until one of them takes so long.
TIMED_SECONDS = 2.0


@dataclass(frozen=True)
class Forecast:
    """What scoring one model, or two in one pass, over a training set would take.

    Attributes:
        models: Each model: its source, architecture and number of parameters, in words.
        training_set: Name of the training set.
        runs_by: Engine, dtype and device, in words.
        examples: Number of examples, of a sample those that it draws.
        is_exact: Whether that number is known; otherwise there are at least so many.
        to_score: Number of those that are not stored yet.
        loading_seconds: Seconds to load the models; 0 if nothing is to be scored.
        examples_per_second: Examples that are scored in a second; 0 if nothing is to be scored.
        timed: Number of examples in the batch that this was measured over.
        size_bytes: Bytes that the store grows by.
    """

    models: tuple[str, ...]
    training_set: str
    runs_by: str
    examples: int
    is_exact: bool
    to_score: int
    loading_seconds: float = 0.0
    examples_per_second: float = 0.0
    timed: int = 0
    size_bytes: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that the run would take: to load the models, and to score."""
        return self.loading_seconds + (self.to_score / self.examples_per_second if self.to_score else 0.0)

    @property
    def lines(self) -> tuple[str, ...]:
        """The forecast in lines for people."""
        at_least = "" if self.is_exact else "at least "
        stored = f", {count(self.examples - self.to_score)} of them scored already" if self.is_exact else ""
        head = f"{' and '.join(self.models)}, by {self.runs_by}"
        over = f"  over {self.training_set}: {at_least}{count(self.examples)} examples{stored}"
        if not self.to_score:
            return head, over, "  nothing is to be scored"
        return (
            head,
            over,
            f"  {at_least}{duration(self.seconds)} ({self.loading_seconds:.1f} s to load, then"
            f" {self.examples_per_second:.3g} examples/s, measured over {self.timed}), {at_least}"
            f"{size(self.size_bytes)} in the cache",
        )


def end_dry_run(runs: Sequence[ScoreRun]) -> NoReturn:
    """Measure what runs would take, and end here.

    Raises:
        DryRun: Always, with a forecast of each run.
        KdmemError: A run could not be made.
    """
    raise DryRun(forecast(run) for run in runs)


def forecast(run: ScoreRun) -> Forecast:
    """Measure what a run would take; models are loaded only if something is to be scored, and nothing is stored.

    Raises:
        SpecError: It would run on other machines than this one.
        KdmemError: The source cannot be read, or a model cannot be loaded or run.
    """
    job, task = run.task.jobs[0], run.task
    if job.settings.executor != "local":
        raise SpecError(
            f"Executor local was expected of a dry run, which measures this machine; found {job.settings.executor}."
        )
    record_key = run.record_key()
    stored = {(entry.key, entry.shard) for entry in run.store.shards()}
    record = run.store.read_record(record_key) if record_key else None
    first: list[Example] = []
    if record is not None:
        missing = [shard for shard in record.shards if not _is_stored(shard, run.keys, stored)]
        examples, is_exact = min(record.examples, run.training_set.sample or record.examples), True
        to_score = min(len(missing) * job.settings.examples_per_shard, examples)
        if missing:
            first, *_ = _read(run, stored, seconds=0.0)
    else:
        first, examples, to_score, is_exact = _read(run, stored, seconds=READING_SECONDS)
    if job.settings.part is not None:
        to_score = ceil(to_score / job.settings.part.count)
    planned = Forecast(
        tuple(map(_model, task.jobs)), run.training_set.label, _runs_by(job), examples, is_exact, to_score
    )
    scorable = [example for example in first if example.is_scored(job.extraction)]
    return _measured(planned, task, scorable) if to_score and scorable else planned


def _read(run: ScoreRun, stored: set[tuple[str, str]], *, seconds: float) -> tuple[list[Example], int, int, bool]:
    """The examples of a first shard; how many there are, how many are not stored, and whether all were read."""
    job = run.task.jobs[0]
    whole = replace(run.training_set, sample=None, stratify=None, stratum_sample=None)
    reader = CorpusReader(
        whole,
        open_tokenizer(job.model, job.checkpoint, run.training_set),
        job.extraction,
        offline=job.settings.offline,
        examples_per_shard=job.settings.examples_per_shard,
    )
    first: list[Example] = []
    examples = to_score = 0
    began, is_whole = time.monotonic(), True
    for shard in reader:
        examples += len(shard.examples)
        if not _is_stored(shard.digest, run.keys, stored):
            to_score += len(shard.examples)
            first = first or list(shard.examples)
        if first and time.monotonic() - began >= seconds:
            is_whole = False
            break
    if not is_whole and (expected := expected_examples(whole, job.extraction.window_tokens)) is not None:
        to_score, examples, is_whole = to_score + max(expected - examples, 0), max(expected, examples), True
    if (sample := run.training_set.sample) is not None and sample <= examples:
        return first, sample, sample, True  # which of them are stored shows only once all were read
    return first, examples, to_score, is_whole


def _is_stored(shard: str, keys: Sequence[Sequence[str]], stored: set[tuple[str, str]]) -> bool:
    return all(any((key, shard) in stored for key in usable) for usable in keys)


def _measured(planned: Forecast, task: Task, examples: list[Example]) -> Forecast:
    """Load the models, and time batches that grow until one takes long enough."""
    began = time.monotonic()
    with device_to_itself(task.jobs[0].numerics.device), closing(task.open()) as scorer:
        batch = Shard(tuple(examples[:WARM_UP]))
        rows = scorer.rows(batch, _ignore)
        loading_seconds, at, seconds = time.monotonic() - began, WARM_UP, 0.0
        while seconds < TIMED_SECONDS and at < len(examples):
            batch = Shard(tuple(examples[at : at + 2 * len(batch.examples)]))
            at += len(batch.examples)
            began = time.monotonic()
            rows = scorer.rows(batch, _ignore)
            seconds = time.monotonic() - began
        if not seconds:  # there are no more examples than those of the first batch
            began = time.monotonic()
            rows = scorer.rows(batch, _ignore)
            seconds = time.monotonic() - began
    timed = len(batch.examples)
    tables = task.split(rows)
    empty = sum(_stored_bytes(table.slice(0, 0)) for table in tables)
    each = max(sum(map(_stored_bytes, tables)) - empty, 0) / timed
    shards = ceil(planned.to_score / task.jobs[0].settings.examples_per_shard)
    return replace(
        planned,
        loading_seconds=loading_seconds,
        examples_per_second=timed / max(seconds, 1e-9),
        timed=timed,
        size_bytes=each * planned.to_score + empty * shards,
    )


def _stored_bytes(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return len(sink.getvalue())


def _model(job: Job) -> str:
    checkpoint = job.checkpoint
    return f"{job.model.name} ({checkpoint.architecture}, {count(checkpoint.parameters)} parameters)"


def _runs_by(job: Job) -> str:
    numerics = job.numerics
    dtype = f"{numerics.screen}, then {numerics.dtype}" if numerics.screen else numerics.dtype
    return f"{numerics.engine} in {dtype} on {numerics.device}"


def _ignore(examples: int) -> None:
    pass
