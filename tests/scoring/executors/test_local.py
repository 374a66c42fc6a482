"""Shards are scored one after another, and no model is loaded without a shard."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.scoring.executors.local import LocalExecutor
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


@pytest.fixture(scope="module")
def job(tiny) -> Job:
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )
    return Job(model, checkpoint, Extraction(20, 20, 40), numerics, "verdict", RunSettings())


def test_every_shard_is_scored_in_turn_and_read_when_it_is_needed(job):
    ids = np.random.default_rng(0).integers(1, 290, (6, 40), dtype=np.int32)
    shards = [Shard(tuple(Example(2 * at + row, ids[2 * at + row]) for row in (0, 1))) for at in range(3)]
    read: list[str] = []

    def reading():
        for shard in shards:
            read.append(shard.digest)
            yield shard

    for number, (digest, rows) in enumerate(LocalExecutor().score(job, reading(), NO_PROGRESS), start=1):
        assert digest == rows_digest(rows) == shards[number - 1].digest
        assert len(read) == number


def test_without_a_shard_no_model_is_loaded(job, no_model_loads):
    no_model_loads()
    assert list(LocalExecutor().score(job, [], NO_PROGRESS)) == []


def test_documents_are_those_of_the_file(tmp_path):
    (tmp_path / "lines.txt").write_text("first\nsecond\n")
    documents = LocalExecutor().documents(TrainingSet(str(tmp_path / "lines.txt")), offline=True)
    assert list(documents) == ["first", "second"]
