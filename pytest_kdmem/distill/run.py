"""Recipe × models × training set → trained model in a folder; a stopped training goes on when it is started again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock
from transformers import TrainerCallback

from pytest_kdmem.base.files import make_folder
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.distill.cache_folders import UNFINISHED, make_text_folder
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.job import DeclaredJob, TrainingJob, open_job
from pytest_kdmem.distill.output_folder import check_output_folder
from pytest_kdmem.distill.prepare import prepare
from pytest_kdmem.distill.process_group import ProcessGroup, join_process_group, require_single_process
from pytest_kdmem.distill.publish import publish
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.stop_request import catch_stop_signals
from pytest_kdmem.distill.train import train
from pytest_kdmem.distill.training_folder import TrainingFolder
from pytest_kdmem.distill.training_run import RunOptions, TrainingRun, no_report
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.trackers import check_installed


def distill(
    recipe: Recipe,
    *,
    init: Model,
    training_set: TrainingSet,
    out: Path,
    teacher: Model | None = None,
    held_out: TrainingSet | None = None,
    extraction: Extraction | None = None,
    execution: Execution | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    progress: Progress = NO_PROGRESS,
    report: Callable[[str], None] = no_report,
    callbacks: Sequence[TrainerCallback] = (),
) -> Model:
    """Train ``init`` by the recipe and write weights (bfloat16), configuration, tokenizer and run card to ``out``.

    Under `torchrun` or `accelerate launch` every process calls this function with the same arguments. A training that
    was stopped is kept beside ``out`` and goes on at its last checkpoint, with any number of processes.

    Args:
        recipe: Settings that decide the result.
        init: Model that training starts from.
        training_set: Examples to train on.
        out: Folder of the trained model; must be new or empty.
        teacher: Model to learn from; not needed in mode ``baseline``.
        held_out: Text whose loss is measured after each epoch.
        extraction: Lengths in tokens. Examples are cut to its window; a hard student's teacher continues its prefix.
        execution: Settings of how the training runs.
        cache_dir: Folder that keeps what a teacher wrote or scored for other runs; None keeps it for this run only.
        offline: Open no network connection.
        progress: Advanced by the number of examples of each step.
        report: Called with a line for each thing that the run does, and for each epoch.
        callbacks: Further callbacks of the trainer, such as one that measures the model. They must not change it.

    Raises:
        SpecError: The teacher is missing or has another tokenizer, ``out`` is not empty, the batch does not split
            evenly, or the package of a tracker is not installed.
        DataError: The training set cannot be read, or holds nothing to train on.
        TrainingInterrupted: SIGTERM or Ctrl-C arrived; everything up to the last whole step is saved.
    """
    options = RunOptions(execution or Execution(), cache_dir, offline, progress, report, tuple(callbacks))
    out, processes = out if out.name else out.resolve(), join_process_group()
    # These checks are cheap, so they come before any model is opened and digested.
    check_output_folder(out)
    check_installed(options.execution.trackers)
    options.execution.split_step(recipe.batch_size, processes.count)
    declared = DeclaredJob(recipe, init, training_set, teacher, held_out, extraction or Extraction())
    progress.status(f"opening {init.name} and the training set")
    return _run_job(open_job(declared, offline=offline), out, options, processes)


def distill_once(
    recipe: Recipe,
    *,
    init: Model,
    training_set: TrainingSet,
    models_dir: Path,
    out: Path | None = None,
    teacher: Model | None = None,
    held_out: TrainingSet | None = None,
    extraction: Extraction | None = None,
    execution: Execution | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Model:
    """Train a model as `distill` does, or reuse the one that the same recipe, models and data gave before.

    Args:
        models_dir: Folder of trained models, where each has a name made of all that it depends on. What a teacher wrote
            or scored is kept beside it, unless ``cache_dir`` is given.
        out: Folder of the trained model instead of one in ``models_dir``. It must be new or empty; nothing is reused.

    Raises:
        SpecError: As in `distill`; or a launcher started several processes, which would wait for each other's lock.
        DataError: As in `distill`.
        TrainingInterrupted: As in `distill`.
    """
    require_single_process("a fixture or a study")
    make_folder(models_dir, private=cache_dir is not None and models_dir.is_relative_to(cache_dir))
    extraction, cache_dir = extraction or Extraction(), cache_dir or models_dir
    with FileLock(models_dir / ".lock"):
        if out is not None:
            return distill(
                recipe,
                init=init,
                training_set=training_set,
                out=out,
                teacher=teacher,
                held_out=held_out,
                extraction=extraction,
                execution=execution,
                cache_dir=cache_dir,
                offline=offline,
                progress=progress,
            )
        options = RunOptions(execution or Execution(), cache_dir, offline, progress)
        job = open_job(DeclaredJob(recipe, init, training_set, teacher, held_out, extraction), offline=offline)
        folder = models_dir / _folder_name(job)
        if folder.is_dir():
            return Model(str(folder))
        return _run_job(job, folder, options, join_process_group(), make_text_folder(cache_dir) / UNFINISHED)


def _run_job(
    job: TrainingJob, out: Path, options: RunOptions, processes: ProcessGroup, unfinished: Path | None = None
) -> Model:
    """Prepare, train and publish; what is unfinished lies in the folder ``unfinished``, or else beside ``out``."""
    with TrainingFolder.open(out, job.digest, processes, unfinished, job.settings) as folder:
        run = TrainingRun(job, options if processes.is_first else options.silenced(), processes, folder)
        prepared = prepare(run)
        # Until the model is written: a signal that arrives after the last step must not interrupt the writing.
        with quiet(), catch_stop_signals(run.options.report) as stop:
            publish(run, prepared.rows, train(run, prepared, stop), out)
            folder.remove()
    return Model(str(out))


def _folder_name(job: TrainingJob) -> str:
    """Mode and digest of a job; a random name if its data have no fingerprint and so cannot be recognised again."""
    digest = job.digest if job.training_set.fingerprint else secrets.token_hex(16)
    return f"{job.recipe.mode}-{digest[:16]}"
