"""A worker scores what the driver's models would, or says why its node cannot; no cluster is needed for these."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors.ray_worker import RayWorker
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

RELEASE = version("pytest-kdmem")


def job_of(folder) -> Job:
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )
    return Job(model, checkpoint, Extraction(20, 20, 40), numerics, "verdict", RunSettings())


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


def refusal(job: Job, release: str = RELEASE) -> str:
    with pytest.raises(EngineError) as caught:
        RayWorker().load(job, release, None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_come_as_an_arrow_stream_with_the_tolerance(folder):
    worker = RayWorker()
    worker.placed()
    worker.load(job_of(folder), RELEASE, None)
    ids = np.random.default_rng(0).integers(1, 290, (3, 40), dtype=np.int32)
    shard = Shard(tuple(Example(position, row) for position, row in enumerate(ids)))
    with pa.ipc.open_stream(worker.rows(shard)) as stream:
        rows = stream.read_all()
    assert rows_digest(rows) == shard.digest
    assert float(rows.schema.metadata[b"tolerance"]) > 0
    worker.close()
    worker.close()


def test_another_release_of_this_package_is_refused(folder):
    message = refusal(job_of(folder), "0.0.1")
    assert message.startswith("pytest-kdmem 0.0.1 was expected on node ")
    assert f"found {RELEASE}: install the same version on all nodes" in message


def test_a_model_that_is_another_on_the_node_is_refused(folder):
    job = job_of(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rotary_pct": 0.5}))
    message = refusal(job)
    assert "to be the same on node" in message
    assert "another one is there" in message
    assert "keep it in a folder that all nodes share" in message


def test_a_model_that_is_missing_on_the_node_is_refused(folder):
    job = job_of(folder)
    shutil.rmtree(folder)
    assert "too, and cannot be used there (" in refusal(job)


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_another_version_of_a_framework_is_refused(folder, name):
    job = job_of(folder)
    job = replace(job, numerics=replace(job.numerics, **{name: "0.1"}))
    assert refusal(job).startswith(f"{name} 0.1 was expected on node ")
