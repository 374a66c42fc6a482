"""A shard of examples → its rows by teacher and baseline together, with KL(teacher ‖ baseline)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pytest_kdmem.corpus.examples import load_tokenizer
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.load import open_pair
from pytest_kdmem.scoring.job import Job, long_enough, rows_of_shard, zlib_bytes
from pytest_kdmem.scoring.table import KL_SCHEMA

# Columns of both models in one table, as an executor hands it over.
SIDES = ("teacher", "baseline")


@dataclass(frozen=True)
class PairJob:
    """What a worker needs to know to score any shard by two models of one tokenizer, in one pass over both."""

    teacher: Job
    baseline: Job

    @property
    def jobs(self) -> tuple[Job, ...]:
        return self.teacher, self.baseline

    def mapped(self, change: Callable[[Job], Job]) -> PairJob:
        return PairJob(change(self.teacher), change(self.baseline))

    def open(self) -> PairScorer:
        return PairScorer(self)

    def too_short_rows(self, shard: Shard) -> pa.Table:
        rows = self.teacher.too_short_rows(shard)
        kl = pa.nulls(len(rows), pa.float32())
        return _joined(rows, rows, kl)

    def split(self, rows: pa.Table) -> tuple[pa.Table, ...]:
        """Rows of the teacher, of the baseline, both by SCHEMA, and their divergence by KL_SCHEMA."""
        return *(_side(rows, side) for side in SIDES), _side(rows, "kl")


class PairScorer:
    """Teacher and baseline, loaded, that turn shards into rows.

    Raises:
        EngineError: one of them cannot be loaded.
    """

    def __init__(self, job: PairJob) -> None:
        self._job = job
        one = job.teacher
        self._tokenizer = load_tokenizer(one.checkpoint.folder, trust_remote_code=one.model.trust_remote_code)
        teacher, baseline = ((each.model, each.checkpoint, each.numerics) for each in job.jobs)
        tokens = self._tokenizer.size if self._tokenizer else None
        self._engine = open_pair(teacher, baseline, one.settings, tokens=tokens)

    def rows(self, shard: Shard, advance: Callable[[int], None]) -> pa.Table:
        """A row for each example, which `PairJob.split` takes apart; exact duplicates are scored once."""
        extraction = self._job.teacher.extraction
        chosen = long_enough(shard, extraction)
        found = self._engine.score(chosen, extraction, advance)
        advance(len(shard.examples) - len(chosen))
        compressed = zlib_bytes(chosen, self._tokenizer)
        teacher, baseline = (
            rows_of_shard(shard, chosen, scores, compressed) for scores in (found.teacher, found.baseline)
        )
        divergence = {example.digest: float(found.kl[at]) for at, example in enumerate(chosen)}
        kl = pa.array([divergence.get(digest) for digest in teacher["digest"].to_pylist()], pa.float32())
        return _joined(teacher, baseline, kl)

    def close(self) -> None:
        self._engine.close()


def _joined(teacher: pa.Table, baseline: pa.Table, kl: pa.Array) -> pa.Table:
    """One table of three, which all have the columns ``example_id`` and ``digest``."""
    columns = {name: teacher[name] for name in ("example_id", "digest")}
    metadata = {}
    for side, rows in zip(SIDES, (teacher, baseline), strict=True):
        columns |= {f"{side}.{name}": rows[name] for name in rows.column_names if name not in columns}
        metadata[f"{side}.tolerance"] = rows.schema.metadata[b"tolerance"]
    return pa.table(columns | {"kl.kl": kl}).replace_schema_metadata(metadata)


def _side(rows: pa.Table, side: str) -> pa.Table:
    """What `_joined` was given of one side."""
    names = [name for name in rows.column_names if name.startswith(f"{side}.") or "." not in name]
    part = rows.select(names).rename_columns([name.removeprefix(f"{side}.") for name in names])
    if side == "kl":
        return part.cast(KL_SCHEMA).replace_schema_metadata(None)
    tolerance = rows.schema.metadata[f"{side}.tolerance".encode()]
    return part.replace_schema_metadata({"tolerance": tolerance})
