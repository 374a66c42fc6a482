"""Where a run keeps the teacher's rows, and which of its processes report."""

from __future__ import annotations

import torch

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.distill.cache_folders import TEACHERS, make_text_folder
from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.job import DeclaredJob, open_job
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.training_folder import TrainingFolder
from pytest_kdmem.distill.training_run import RunOptions, TrainingRun, no_report
from pytest_kdmem.specs.declared import TrainingSet


def test_a_step_is_split_over_the_processes_of_the_group(init, rows, extraction, tmp_path):
    recipe = Recipe(mode="baseline", batch_size=16)
    job = open_job(DeclaredJob(recipe, init, TrainingSet(str(rows)), None, None, extraction), offline=True)
    processes = ProcessGroup(0, 2, torch.device("cpu"))
    folder = TrainingFolder(tmp_path / "folder", processes, {})
    run = TrainingRun(job, RunOptions(Execution(micro_batch_size=2)), processes, folder)
    assert run.split == StepSplit(2, 4)
    assert run.make_teachers_folder() == tmp_path / "folder" / TEACHERS
    cached = TrainingRun(job, RunOptions(Execution(), tmp_path / "cache"), processes, folder)
    assert cached.make_teachers_folder() == make_text_folder(tmp_path / "cache") / TEACHERS


def test_silenced_options_report_nothing(tmp_path):
    lines: list[str] = []
    options = RunOptions(Execution(2), tmp_path, True, object(), lines.append)
    assert options.silenced() == RunOptions(Execution(2), tmp_path, True, NO_PROGRESS, no_report)
    options.silenced().report("a line")
    assert lines == []
