"""One run of a training: what this process trains, how it runs, and the folder that keeps its unfinished state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import TrainerCallback

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.distill.cache_folders import TEACHERS, make_text_folder
from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.job import TrainingJob
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.training_folder import TrainingFolder


def no_report(line: str) -> None:
    """Discard a line."""


@dataclass(frozen=True)
class RunOptions:
    """How a training runs and where it reports; the result depends on none of it.

    Args:
        execution: Settings of how the training runs.
        cache_dir: Folder beside which other runs find what a teacher wrote or scored; None keeps it for this run alone.
        offline: Open no network connection.
        progress: Advanced by the number of examples of each step.
        report: Called with a line for each thing that the run does, and for each epoch.
        callbacks: Further callbacks of the trainer.
        first_examples: Number of first examples to train on, for a trial; all if None.
    """

    execution: Execution
    cache_dir: Path | None = None
    offline: bool = False
    progress: Progress = NO_PROGRESS
    report: Callable[[str], None] = no_report
    callbacks: tuple[TrainerCallback, ...] = ()
    first_examples: int | None = None

    def silenced(self) -> RunOptions:
        """The same options without progress and report."""
        return replace(self, progress=NO_PROGRESS, report=no_report)


@dataclass(frozen=True)
class TrainingRun:
    """One process's run of a job.

    Args:
        job: What is trained, and from what.
        options: How the training runs.
        processes: The process group that trains the model together.
        folder: Folder of the unfinished training.
    """

    job: TrainingJob
    options: RunOptions
    processes: ProcessGroup
    folder: TrainingFolder

    @property
    def split(self) -> StepSplit:
        """How a step is split over processes and forward passes."""
        return self.options.execution.split_step(self.job.recipe.batch_size, self.processes.count)

    def make_teachers_folder(self) -> Path:
        """Return the folder of rows that a teacher made; in that of the unfinished training if no cache was given."""
        cache_dir = self.options.cache_dir
        return (make_text_folder(cache_dir) if cache_dir is not None else self.folder.path) / TEACHERS
