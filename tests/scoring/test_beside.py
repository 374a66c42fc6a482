"""Runs beside the pass are by transformers in the dtype that decides, and stored under keys of all that they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.scoring.beside import BesideScorer, BesideTask, job_beside, key_beside
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings

SETTINGS = RunSettings(device="cpu", accept_reading="noise")


@pytest.fixture(scope="module")
def scores(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> ScoreTable:
    folder = tmp_path_factory.mktemp("beside")
    np.save(folder / "rows.npy", np.random.default_rng(0).integers(1, 290, (4, 20), dtype=np.int32))
    store = ScoreStore(folder / "store")
    return score(Model(tiny), TrainingSet(folder / "rows.npy"), Extraction(8, 8, 20), store, settings=SETTINGS)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"engine": "vllm", "tensor_parallel": 4},
        {"screen_dtype": "bfloat16"},
        {"part": Part(2, 3)},
    ],
    ids=str,
)
def test_the_model_runs_whole_in_transformers_whatever_the_settings_say(scores: ScoreTable, changed: dict) -> None:
    job = job_beside(scores, replace(SETTINGS, **changed))
    assert (job.numerics.engine, job.numerics.dtype, job.numerics.screen) == ("transformers", "float32", None)
    assert (job.settings.engine, job.settings.tensor_parallel, job.settings.part) == ("transformers", 1, None)
    assert (job.metrics, job.extraction, job.checkpoint) == ("all", scores.extraction, scores.checkpoint)


def test_a_key_changes_with_all_that_rows_depend_on(scores: ScoreTable) -> None:
    job = job_beside(scores, SETTINGS)
    other_extraction = replace(job, extraction=Extraction(7, 9, 20))
    other_model = replace(job, checkpoint=replace(job.checkpoint, digest="f" * 64))
    other_verdicts = replace(scores, numerics=replace(scores.numerics, torch="1.0"))
    other_numerics = replace(job, numerics=replace(job.numerics, transformers="1.0"))
    keys = [
        key_beside(job, scores, "a", 1),
        key_beside(job, scores, "a", 2),
        key_beside(job, scores, "b", 1),
        key_beside(other_extraction, scores, "a", 1),
        key_beside(other_model, scores, "a", 1),
        key_beside(other_numerics, scores, "a", 1),
        key_beside(job, other_verdicts, "a", 1),
    ]
    assert len(set(keys)) == len(keys)
    assert key_beside(job, scores, "a", 1) == keys[0]


def test_a_scorer_holds_its_task_and_the_model_that_decides(scores: ScoreTable) -> None:
    task = BesideTask(job_beside(scores, SETTINGS))
    scorer = BesideScorer(task)
    try:
        assert scorer._task is task
        assert isinstance(scorer._engine, TransformersEngine)
    finally:
        scorer.close()
