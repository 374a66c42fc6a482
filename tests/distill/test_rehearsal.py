"""A rehearsal counts and times a training, and leaves no trace of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.distill import rehearsal
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.job import DeclaredJob
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.rehearsal import is_timed_enough, rehearse
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.conftest import ROOT

ROWS = 30
RECIPE = Recipe(mode="baseline", epochs=3, batch_size=4, precision="float32")


@pytest.fixture
def job(tiny: Path, tmp_path: Path) -> DeclaredJob:
    ids = np.random.default_rng(0).integers(1, 200, (ROWS, 24), dtype=np.int32)
    np.save(tmp_path / "rows.npy", ids)
    model = Model(tiny)
    return DeclaredJob(RECIPE, model, TrainingSet(tmp_path / "rows.npy"), model, None, Extraction(8, 8, 24))


@pytest.mark.parametrize("changes", [{}, {"mode": "hard"}, {"mode": "soft", "teacher_top_k": 4}, {"lora_rank": 2}])
def test_a_training_is_counted_and_timed_without_a_trace(
    job: DeclaredJob, tmp_path: Path, changes: dict[str, object]
) -> None:
    if "lora_rank" in changes:
        pytest.importorskip("peft")
    job = replace(job, recipe=replace(RECIPE, **changes))  # type: ignore[arg-type]
    forecast = rehearse(job, tmp_path / "student", Execution())
    assert (forecast.examples, forecast.is_exact) == (ROWS, True)
    assert forecast.steps == 3 * ceil(ROWS / 4)
    assert len(forecast.step_seconds) >= 3
    assert forecast.seconds >= forecast.steps * forecast.seconds_per_step > 0
    whole = sum(path.stat().st_size for path in Path(job.init.source).glob("*.safetensors"))  # float32
    assert (
        forecast.model_bytes < whole
        if "lora_rank" in changes
        else forecast.model_bytes == pytest.approx(whole / 2, rel=0.1)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


def test_a_set_that_takes_long_to_read_is_counted_by_its_rows(
    job: DeclaredJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "READING_SECONDS", 0.0)
    forecast = rehearse(job, tmp_path / "student", Execution())
    assert (forecast.examples, forecast.is_exact) == (ROWS, True)
    monkeypatch.setattr(rehearsal, "expected_examples", lambda *_: None)
    forecast = rehearse(job, tmp_path / "student", Execution())
    assert (forecast.examples, forecast.is_exact) == (1, False)
    assert "at least 1 examples" in forecast.lines[1]


def test_what_a_training_refuses_a_rehearsal_refuses(job: DeclaredJob, tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="An empty or new folder was expected"):
        rehearse(job, tmp_path / "student", Execution())
    with pytest.raises(SpecError, match="A teacher was expected"):
        rehearse(replace(job, recipe=Recipe(), teacher=None), tmp_path / "new", Execution())
    with pytest.raises(SpecError, match="batch-size"):
        rehearse(job, tmp_path / "new", Execution(micro_batch_size=3))


@pytest.mark.parametrize("changes", [{}, {"mode": "hard"}])
def test_a_set_of_one_batch_is_timed_over_several_steps(
    job: DeclaredJob, tmp_path: Path, changes: dict[str, object]
) -> None:
    one_batch = replace(job, recipe=replace(RECIPE, batch_size=ROWS, epochs=2, **changes))  # type: ignore[arg-type]
    with_held_out = replace(one_batch, held_out=job.training_set)
    forecast = rehearse(with_held_out, tmp_path / "student", Execution())
    assert forecast.steps == 2
    assert len(forecast.step_seconds) >= 3


@pytest.mark.parametrize(
    ("each", "timed"),
    [(0.01, 20), (0.5, 10), (2.0, 3), (10.0, 3), (19.0, 3), (25.0, 3), (40.0, 2), (300.0, 1)],
)
def test_at_least_three_steps_are_timed_unless_they_take_a_minute(each: float, timed: int) -> None:
    """The first step, which is not timed, has ended before."""
    assert next(n for n in range(100) if is_timed_enough([each] * n)) == timed


@pytest.mark.slow
def test_two_processes_measure_together_and_one_of_them_tells_what_each_does(job: DeclaredJob, tmp_path: Path) -> None:
    arguments = ["--init", job.init.source, "--teacher", job.init.source, "--train", job.training_set.source]
    arguments += ["--mode", "hard", "--epochs", "3", "--batch-size", "4", "--precision", "float32", "--dry-run"]
    arguments += ["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24", "--out", "student"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    before = sorted(tmp_path.rglob("*"))
    process = subprocess.run(
        [*launcher, "-m", "pytest_kdmem", "distill", *arguments],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    told = process.stdout.splitlines()
    assert told[1] == "  2 processes, each of which computes 2 examples of every step; the first one writes"
    assert told[2] == f"  {ROWS} examples, {3 * ceil(ROWS / 4)} steps"
    assert told[5:] == ["dry run: nothing was written"]
    assert sorted(tmp_path.rglob("*")) == before
