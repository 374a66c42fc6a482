"""Recipe × models × training set → trained model in a folder; begun again, it goes on where it was stopped."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import PreTrainedModel, set_seed

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.examples import load_tokenizer
from pytest_kdmem.distill.batches import Collator, WholeSteps
from pytest_kdmem.distill.callback import DistillationCallback
from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.job import open_inputs
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.packing import check_packing
from pytest_kdmem.distill.process_group import join_process_group, require_single_process
from pytest_kdmem.distill.publish import save_trained
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.stored_rows import tokens_of
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.distill.trainer import DistillationTrainer, arguments_of
from pytest_kdmem.distill.training_folder import TrainingFolder, check_out
from pytest_kdmem.distill.training_rows import RowSource
from pytest_kdmem.engines.transformers.loading import is_out_of_memory, load_model, quiet
from pytest_kdmem.errors import EngineError, TrainingInterrupted
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, ModelOrigin, RunCard

VERSIONS_OF = ("pytest-kdmem", "torch", "transformers", "accelerate")


def silent(line: str) -> None:
    """A report to nobody."""


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
    report: Callable[[str], None] = silent,
) -> Model:
    """Train ``init`` by the recipe and write weights (bfloat16), configuration, tokenizer and run card to ``out``.

    Under `torchrun` or `accelerate launch` every process calls it with the same arguments. A training that was stopped
    is found beside ``out`` and goes on at its last checkpoint, with any number of processes.

    Args:
        held_out: text to evaluate on after each epoch.
        extraction: lengths: examples are cut to its window, hard students learn from its prefix on.
        cache_dir: keeps what a teacher wrote or scored for other runs; None keeps it for this run.
        progress: told of examples as they are trained on.
        report: told in a line what is done, and of each epoch.

    Raises:
        SpecError: a teacher is missing or of another tokenizer, ``out`` is not empty, or the batch does not share out.
        DataError: the training set cannot be read or holds nothing to train on.
        TrainingInterrupted: SIGTERM came; everything up to the last whole step is saved.
    """
    processes, execution, extraction = join_process_group(), execution or Execution(), extraction or Extraction()
    if not processes.is_first:
        progress, report = NO_PROGRESS, silent
    out = out if out.name else out.resolve()
    check_out(out)
    micro_batch, passes = execution.passes_a_step(recipe.batch_size, processes.count)
    inputs = open_inputs(
        recipe,
        init=init,
        teacher=teacher,
        training_set=training_set,
        held_out=held_out,
        extraction=extraction,
        offline=offline,
    )
    start, origin = inputs.init, inputs.teacher
    with TrainingFolder.of(out, inputs.digest, processes) as unfinished, ExitStack() as stack:
        tokenizer = load_tokenizer(start.folder, trust_remote_code=init.trust_remote_code)
        set_seed(recipe.seed)
        # Fused attention's backward pass takes 40 % of a step on CPUs; plain matrices are a third faster there.
        attention = "eager" if processes.device.type == "cpu" else None
        model = load_model(init, start, dtype="float32", attention=attention)
        rows = model.config.get_text_config().vocab_size
        embedded = min(rows, origin.vocabulary) if origin else rows

        def load_teacher() -> PreTrainedModel:
            assert teacher is not None
            assert origin is not None
            report(f"teacher {teacher.name}")
            own = "float32" if processes.device.type == "cpu" else origin.dtype
            return load_model(
                teacher,
                origin,
                dtype=own if teacher.dtype == "auto" else teacher.dtype,
                device=str(processes.device),
                attention=attention,
            )

        source = RowSource(
            training_set,
            inputs.fingerprint,
            tokenizer,
            start.text_digest,
            extraction,
            embedded,
            unfinished.folder,
            cache_dir or unfinished.folder,
            processes,
            offline,
        )
        known = min(tokenizer.size, embedded) if tokenizer else embedded
        data = source.of(recipe, inputs.teacher_digest, known, load_teacher)
        if recipe.packing:
            check_packing(model)
        evaluated = WholeSteps(source.examples(held_out, "held-out"), recipe.batch_size) if held_out else None
        soft = recipe.mode == "soft"
        objective = Objective(
            divergence=recipe.divergence if soft else None,
            temperature=recipe.temperature,
            jsd_weight=recipe.jsd_weight,
            cross_entropy_weight=recipe.cross_entropy_weight if soft else 0.0,
            vocabulary=known,
        )
        reads_along = soft and recipe.teacher_top_k is None
        reader = LiveTeacher(load_teacher(), recipe.temperature) if reads_along else None
        if reader and recipe.packing:
            check_packing(reader.model)
        trainer = DistillationTrainer(
            teacher=reader,
            model=model,
            args=arguments_of(recipe, execution, unfinished.folder, (micro_batch, passes), len(data)),
            train_dataset=WholeSteps(data, recipe.batch_size),
            data_collator=Collator(recipe.packing),
        )
        watch = DistillationCallback(
            trainer,
            checkpoint_minutes=execution.checkpoint_minutes,
            batch_size=recipe.batch_size,
            held_out=evaluated,
            progress=progress,
            report=report,
            saved=unfinished.note_seconds,
        )
        trainer.add_callback(watch)
        checkpoint = latest_checkpoint(unfinished.folder)
        begun = f", going on at step {unfinished.resumes_at(checkpoint)}" if checkpoint else ""
        report(f"{recipe.mode}: {len(data)} examples, {recipe.epochs} epochs{begun}")
        for context in (quiet(), forward_returns_loss(model, objective), watch.listening()):
            stack.enter_context(context)
        unfinished.begin_stretch()
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"Memory for passes of {micro_batch} examples was expected on {processes.device}, and it ran out; set a"
                " smaller --micro-batch-size, or --gradient-checkpointing."
            ) from error
        unfinished.note_seconds()
        if watch.stopped:
            raise TrainingInterrupted(
                f"Training stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, as SIGTERM asked,"
                " and every step is saved; the same command goes on from there."
            )
        tokens = tokens_of(data) if processes.is_first else 0  # the first writes the card
        card = RunCard(
            weights="",  # known once they are written
            mode=recipe.mode,
            recipe=asdict(recipe),
            loss=recipe.loss,
            init=ModelOrigin(init.name, start.digest),
            teacher=ModelOrigin(teacher.name, origin.digest) if teacher and origin else None,
            training_set=DataOrigin(training_set.name, inputs.fingerprint, len(data), tokens),
            extraction=asdict(extraction),
            steps=trainer.state.global_step,
            epochs=recipe.epochs,
            seconds=round(unfinished.seconds, 3),
            processes=processes.count,
            resumed_at=unfinished.resumed_at,
            versions={name: version(name) for name in VERSIONS_OF},
            loss_curve=_curve(trainer, "loss"),
            held_out=_curve(trainer, "held_out_loss"),
        )
        save_trained(trainer.model_wrapped, init, start, card, out, processes)
        unfinished.finished()
    return Model(str(out))


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
    cache_dir: Path | None = None,
    offline: bool = False,
    **how: Any,
) -> Model:
    """`distill` into ``models_dir`` under a name made of all the run depends on; what stands there already is used.

    With ``out`` the model goes there instead, and a folder that holds files is an error as in `distill`. ``how`` is
    passed on to it.

    Raises:
        SpecError: one of several processes calls it: they would wait for each other's lock.
    """
    require_single_process("a fixture or a study")
    extraction = extraction or Extraction()
    is_named = out is not None
    if out is None:
        inputs = open_inputs(
            recipe,
            init=init,
            teacher=teacher,
            training_set=training_set,
            held_out=held_out,
            extraction=extraction,
            offline=offline,
        )
        # Nothing tells whether data without a fingerprint is the same again, so what it trains is found by nobody.
        name = inputs.digest if inputs.fingerprint else secrets.token_hex(16)
        out = models_dir / f"{recipe.mode}-{name[:16]}"
    models_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(models_dir / ".lock"):
        if not is_named and out.is_dir():
            return Model(str(out))
        return distill(
            recipe,
            init=init,
            training_set=training_set,
            out=out,
            teacher=teacher,
            held_out=held_out,
            extraction=extraction,
            cache_dir=cache_dir or models_dir,
            offline=offline,
            **how,
        )


def _curve(trainer: DistillationTrainer, name: str) -> tuple[tuple[int, float], ...]:
    return tuple((int(entry["step"]), entry[name]) for entry in trainer.state.log_history if name in entry)
