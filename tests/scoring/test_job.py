"""A shard's rows: each example has one, duplicates share theirs, and what is too short is not scored."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.scoring.job import Job, rows_of_shard, scorable_examples, too_short_rows, zlib_bytes
from pytest_kdmem.scoring.loss_shard import LossShard
from pytest_kdmem.scoring.table import SCHEMA
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(2, 2, 8)


def example(position: int, *ids: int) -> Example:
    return Example(position, np.array(ids, dtype=np.int32))


# The first and the fourth are the same, and the third is too short.
SHARD = Shard((example(3, 1, 2, 3, 4), example(4, 5, 6, 7, 8), example(5, 9, 9), example(6, 1, 2, 3, 4)))


@pytest.fixture
def job(tiny):
    """Makes a job by the tiny model."""
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)

    def make(metrics: str) -> Job:
        numerics = resolve_numerics(
            model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics=metrics
        )
        return Job(model, checkpoint, EXTRACTION, numerics, metrics, RunSettings())

    return make


def test_distinct_examples_that_are_long_enough_are_scored_the_first_of_copies():
    assert [example.position for example in scorable_examples(SHARD, EXTRACTION)] == [3, 4]


def test_every_example_has_a_row_and_copies_share_theirs(job):
    nan = np.nan
    scores = Scores(
        np.array([0.125, nan], dtype=np.float32),
        np.array([-1, 1], dtype=np.int16),
        np.array([-2.0, nan], dtype=np.float32),
        np.array([0.5, nan], dtype=np.float32),
        np.array([0.25, nan], dtype=np.float32),
        0.25,
    )
    rows = rows_of_shard(SHARD, scorable_examples(SHARD, EXTRACTION), scores, [11, 12], job("verdict"))
    assert rows.schema.equals(SCHEMA)
    assert rows_digest(rows) == SHARD.digest
    assert float(rows.schema.metadata[b"tolerance"]) == 0.25
    assert rows.drop_columns(["digest"]).to_pylist() == [
        row(3, "scored", True, True, 0.125, -2.0, 0.5, 0.25, -1, 11),
        row(4, "scored", False, False, None, None, None, None, 1, 12),
        row(5, "too_short", *[None] * 8),
        row(6, "scored", True, True, 0.125, -2.0, 0.5, 0.25, -1, 11),
    ]


def row(*values):
    return dict(zip([name for name in SCHEMA.names if name != "digest"], values, strict=True))


def test_rows_of_a_shard_without_scorable_examples_have_its_digest():
    shard = Shard((example(3, 1), example(9, 1, 2)))
    rows = too_short_rows(shard)
    assert rows["status"].to_pylist() == ["too_short"] * 2
    assert rows["memorized"].null_count == 2
    assert rows.schema.equals(SCHEMA)
    assert float(rows.schema.metadata[b"tolerance"]) == 0.0
    assert rows_digest(rows) == shard.digest
    assert rows_digest(rows.slice(1)) == Shard(shard.examples[1:]).digest != shard.digest


def test_the_losses_of_sequences_are_a_row_each(job):
    shard = LossShard(SHARD.examples)
    scorer = job("verdict").open()
    try:
        rows = scorer.rows(shard, lambda examples: None)
    finally:
        scorer.close()
    assert rows["example_id"].to_pylist() == [3, 4, 5, 6]
    assert rows["digest"].to_pylist() == [example.digest for example in SHARD.examples]
    assert [len(losses) for losses in rows["losses.0"].to_pylist()] == [3, 3, 1, 3]


def test_the_size_of_the_compressed_text_is_that_of_its_utf8_bytes(tiny):
    tokenizer = load_tokenizer(tiny)
    text = "amber birch näïve cedar"
    [ids] = tokenizer.encode([text], add_special_tokens=False)
    examples = [example(0, *ids)]
    assert zlib_bytes(examples, tokenizer) == [len(zlib.compress(text.encode()))]
    assert zlib_bytes(examples, None) == [None]


@pytest.mark.parametrize("metrics", ["verdict", "all"])
def test_a_loaded_job_scores_shards_and_counts_every_example(job, metrics):
    job = job(metrics)
    counts: list[int] = []
    scorer = job.open()
    try:
        rows = scorer.rows(SHARD, counts.append)
    finally:
        scorer.close()
    assert sum(counts) == len(SHARD.examples)
    # What needs no scoring is done first, or the time left would count it to the end.
    assert counts[0] == len(SHARD.examples) - len(scorable_examples(SHARD, job.extraction)) > 0
    assert rows_digest(rows) == SHARD.digest
    assert rows["status"].to_pylist() == ["scored", "scored", "too_short", "scored"]
    assert rows["zlib_bytes"].null_count == (1 if metrics == "all" else 4)
    assert rows["nll"].null_count == (1 if metrics == "all" else 4)
    assert math.isfinite(float(rows.schema.metadata[b"tolerance"]))
    assert job.split(rows) == (rows,)
    assert job.mapped(lambda mapped: mapped) == job
