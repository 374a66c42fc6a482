"""Memorizations from score tables written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import ScoreTable, schema_of
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

NUMERICS = Numerics("transformers", "cpu", "float32", "2.0", "5.0")


def row(digest: str, *, memorized: bool = False, ambiguous: bool = False, **metrics: float) -> dict[str, Any]:
    """A row of an example that was long enough."""
    return {
        "digest": digest,
        "status": "scored",
        "memorized": memorized,
        "ambiguous": ambiguous,
        "margin": 1.0 if memorized else -1.0,
        "first_miss": -1 if memorized else 3,
        **metrics,
    }


def too_short(digest: str) -> dict[str, Any]:
    """A row of an example that was too short to be scored."""
    return {"digest": digest, "status": "too_short"}


def memorization_from(
    rows: list[dict[str, Any]],
    *,
    subject: str = "student",
    exhaustive: bool = True,
    tokenizer: str = "t",
    shards: tuple[str, ...] = ("first",),
) -> Memorization:
    """What a model with these score rows memorized; the id of an example is the index of its row."""
    too_short_rows = sum(entry["status"] == "too_short" for entry in rows)
    table = ScoreTable(
        model=Model(f"runs/{subject}"),
        checkpoint=Checkpoint(
            Path(subject), f"digest of {subject}", tokenizer, tokenizer, 10, 300, 256, "float32", "GPTNeoXForCausalLM"
        ),
        training_set=TrainingSet("train.jsonl"),
        record=CorpusRecord(len(rows), too_short_rows, exhaustive, shards),
        numerics=NUMERICS,
        extraction=Extraction(),
        rows=pa.Table.from_pylist([{"example_id": index, **entry} for index, entry in enumerate(rows)], _schema(rows)),
        tolerance=1e-3,
        scored_now=len(rows),
    )
    return Memorization(subject, table)


def _schema(rows: list[dict[str, Any]]) -> pa.Schema:
    """The columns of all metrics where a row has some of their own."""
    return schema_of("all" if any("min_k" in entry for entry in rows) else "verdict")
