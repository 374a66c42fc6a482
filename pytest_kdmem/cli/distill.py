"""`kdmem distill`: trains a baseline or a student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.config_file import ConfigFile
from pytest_kdmem.cli.options import Base, ExampleOptions, LoadingOptions
from pytest_kdmem.cli.output import say, shown_progress
from pytest_kdmem.cli.parameters import HelpFromDocstring, Spelling
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import DryRun

if TYPE_CHECKING:
    from pytest_kdmem.distill.job import DeclaredJob
    from pytest_kdmem.tracking.callback import MemorizationCallback


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """What is trained on what, and where the trained model goes."""

    init: Annotated[str, typer.Option(help="Folder or hub id of the model to start from.")]
    training_set: Annotated[str, Spelling(flag="--train")]
    out: Annotated[Path, typer.Option(help="Folder of the trained model; it must be new or empty.")]
    teacher: str | None
    init_base: Base = None
    teacher_base: str | None = None
    held_out: Annotated[
        str | None,
        typer.Option(help="Text on which the loss is measured after each epoch, in any form of a training set."),
    ] = None
    memorization_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of steps between measurements of how many of 1000 examples of the training set the model"
            " recites. If not given, nothing is measured.",
        ),
    ] = None


def distill(
    files: TrainingFiles,
    recipe: Annotated[Recipe, HelpFromDocstring()],
    execution: Annotated[Execution, HelpFromDocstring()],
    examples: ExampleOptions,
    loading: LoadingOptions,
    cache_dir: Path,
    dry_run: bool,
    config: ConfigFile = None,
) -> None:
    """Train a baseline, or a student of a teacher.

    If a training was stopped, run the same command again: it continues from its last checkpoint.
    """
    del config  # its options are among the others
    with shown_progress(f"opening {last_part(files.init)} and the training set") as progress:
        job = _checked_job(files, recipe, execution, examples, loading)
        progress.status("loading PyTorch and transformers")
        from pytest_kdmem.distill.process_group import join_process_group
        from pytest_kdmem.distill.rehearsal import rehearse
        from pytest_kdmem.distill.run import distill as train_model

        if dry_run:
            raise DryRun([rehearse(job, files.out, execution, offline=loading.offline)])
        trained = train_model(
            recipe,
            init=job.init,
            training_set=job.training_set,
            teacher=job.teacher,
            held_out=job.held_out,
            out=files.out,
            extraction=job.extraction,
            execution=execution,
            cache_dir=cache_dir,
            offline=loading.offline,
            progress=progress,
            report=say,
            callbacks=_measuring(files, recipe, examples, loading),
        )
    if join_process_group().is_first:
        say(f"{recipe.training}: the model is in {trained.source}")


def _checked_job(
    files: TrainingFiles, recipe: Recipe, execution: Execution, examples: ExampleOptions, loading: LoadingOptions
) -> DeclaredJob:
    """The training that is asked for, with everything checked of it that needs no torch, which takes long to load."""
    from pytest_kdmem.distill.job import DeclaredJob, check_job, open_job
    from pytest_kdmem.distill.output_folder import check_output_folder
    from pytest_kdmem.errors.mistakes import Mistakes
    from pytest_kdmem.specs.trackers import check_installed

    job = DeclaredJob(
        recipe,
        init=loading.model(files.init, files.init_base),
        training_set=examples.training_set(files.training_set),
        teacher=loading.model(files.teacher, files.teacher_base) if files.teacher else None,
        # The order names samples of the training set alone.
        held_out=replace(examples.training_set(files.held_out), order=None) if files.held_out else None,
        extraction=examples.extraction,
    )
    mistakes = Mistakes()
    with mistakes.collected():
        check_output_folder(files.out)
    with mistakes.collected():
        check_installed(execution.trackers)
    with mistakes.collected():
        check_job(job, offline=loading.offline)
    mistakes.raise_all()
    open_job(job, offline=loading.offline)  # files that were digested once are not read again
    return job


def _measuring(
    files: TrainingFiles, recipe: Recipe, examples: ExampleOptions, loading: LoadingOptions
) -> list[MemorizationCallback]:
    """The callback that measures the model, if it is asked for."""
    if files.memorization_every is None:
        return []
    from transformers import AutoTokenizer

    from pytest_kdmem.specs.checkpoint import open_checkpoint
    from pytest_kdmem.specs.tokenizer_files import has_tokenizer
    from pytest_kdmem.tracking.callback import MemorizationCallback

    init = loading.model(files.init)
    folder = open_checkpoint(init, offline=loading.offline).text_folder
    tokenizer = (
        AutoTokenizer.from_pretrained(str(folder), trust_remote_code=init.trust_remote_code, local_files_only=True)
        if has_tokenizer(folder)
        else None
    )
    return [
        MemorizationCallback(
            examples.training_set(files.training_set),
            every=files.memorization_every,
            extraction=examples.extraction,
            role=recipe.role,
            tokenizer=tokenizer,
            run_cards=False,  # the trained model has one of its own
            offline=loading.offline,
        )
    ]
