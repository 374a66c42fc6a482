"""Scores shards of examples by teacher and baseline together, with KL(teacher ‖ baseline)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.tokenizer import load_decoder
from pytest_kdmem.engines.load import ModelToLoad, open_pair
from pytest_kdmem.scoring.job import Job, rows_of_shard, scorable_examples, zlib_bytes
from pytest_kdmem.scoring.loss_shard import LossShard, loss_rows
from pytest_kdmem.scoring.table import KL_SCHEMA

# Prefixes of the models' columns in the joint table that an executor returns.
SIDES = ("teacher", "baseline")


@dataclass(frozen=True)
class PairJob:
    """Everything a worker needs to score a shard by two models of one tokenizer, in one pass over both."""

    teacher: Job
    baseline: Job

    @property
    def jobs(self) -> tuple[Job, ...]:
        return self.teacher, self.baseline

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        return *self.teacher.schemas, *self.baseline.schemas, KL_SCHEMA

    def mapped(self, change: Callable[[Job], Job]) -> PairJob:
        return PairJob(change(self.teacher), change(self.baseline))

    def open(self) -> PairScorer:
        return PairScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        rows = self.teacher.too_short_rows(shard)
        kl = pa.nulls(len(rows), pa.float32())
        return _join(rows, rows, kl)

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        """The teacher's rows, the baseline's, and the divergence, by the schemas of the task."""
        return *(_side(rows, side) for side in SIDES), _side(rows, "kl")


class PairScorer:
    """Loaded teacher and baseline that turn shards into rows.

    Raises:
        EngineError: A model cannot be loaded.
    """

    def __init__(self, job: PairJob) -> None:
        self._job = job
        teacher, baseline = job.jobs
        self._tokenizer = load_decoder(
            teacher.checkpoint.text_folder, trust_remote_code=teacher.model.trust_remote_code
        )
        self._engine = open_pair(
            ModelToLoad(teacher.model, teacher.checkpoint, teacher.numerics),
            ModelToLoad(baseline.model, baseline.checkpoint, baseline.numerics),
            teacher.settings,
            tokenizer_size=self._tokenizer.size if self._tokenizer else None,
        )

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """A row for each example, for `PairJob.split` to take apart; exact duplicates are scored once."""
        if isinstance(shard, LossShard):
            return loss_rows(shard, self._engine.losses(shard.examples))
        extraction = self._job.teacher.extraction
        examples = scorable_examples(shard, extraction)
        advance(len(shard.examples) - len(examples))
        with ThreadPoolExecutor(1) as beside:
            sizes = beside.submit(zlib_bytes, examples, self._tokenizer)
            scores = self._engine.score(examples, extraction, advance)
        compressed = sizes.result()
        teacher = rows_of_shard(shard, examples, scores.teacher, compressed, self._job.teacher)
        baseline = rows_of_shard(shard, examples, scores.baseline, compressed, self._job.baseline)
        divergence = {example.digest: value for example, value in zip(examples, scores.kl.tolist(), strict=True)}
        kl = pa.array([divergence.get(example.digest) for example in shard.examples], pa.float32())
        return _join(teacher, baseline, kl)

    def close(self) -> None:
        self._engine.close()


def _join(teacher: pa.Table, baseline: pa.Table, kl: pa.Array) -> pa.Table:
    """One table with the columns of both models and the divergence, which share ``example_id`` and ``digest``."""
    columns = {name: teacher[name] for name in ("example_id", "digest")}
    metadata: dict[bytes, bytes] = {}
    for side, rows in zip(SIDES, (teacher, baseline), strict=True):
        columns |= {f"{side}.{name}": rows[name] for name in rows.column_names if name not in columns}
        metadata |= {f"{side}.".encode() + name: value for name, value in rows.schema.metadata.items()}
    return pa.table(columns | {"kl.kl": kl}).replace_schema_metadata(metadata)


def _side(rows: pa.Table, side: str) -> pa.Table:
    """One of the tables that `_join` was given, by the prefix of its columns."""
    names = [name for name in rows.column_names if name.startswith(f"{side}.") or "." not in name]
    part = rows.select(names).rename_columns([name.removeprefix(f"{side}.") for name in names])
    if side == "kl":
        return part.cast(KL_SCHEMA).replace_schema_metadata(None)
    prefix = f"{side}.".encode()
    metadata = rows.schema.metadata
    return part.replace_schema_metadata(
        {name.removeprefix(prefix): metadata[name] for name in metadata if name.startswith(prefix)}
    )
