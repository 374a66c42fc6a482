"""Prepared models and rows → a trained model, from the latest checkpoint if there is one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from pytest_kdmem.base.text import count
from pytest_kdmem.distill.batches import Collator, WholeSteps
from pytest_kdmem.distill.callback import DistillationCallback
from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.on_policy import Prompts, collate_prompts
from pytest_kdmem.distill.prepare import Prepared
from pytest_kdmem.distill.stop_request import SENDERS, StopRequest
from pytest_kdmem.distill.trainer import DistillationTrainer
from pytest_kdmem.distill.training_arguments import training_arguments
from pytest_kdmem.distill.training_run import TrainingRun
from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers
from pytest_kdmem.engines.transformers.loading import is_out_of_memory
from pytest_kdmem.errors import EngineError, SpecError, TrainingInterrupted
from pytest_kdmem.specs.figure_names import RATE, figure_name
from pytest_kdmem.specs.run_card import Curve


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gave.

    Args:
        model: The trained model, as DDP or FSDP wrapped it.
        steps: Optimizer steps from the beginning of the training.
        loss_curve: (step, training loss), in order.
        held_out: (step, loss on held-out text), in order.
        memorization_curve: (step, memorization rate), in order; empty if a callback does not measure it.
    """

    model: nn.Module
    steps: int
    loss_curve: Curve
    held_out: Curve
    memorization_curve: Curve = ()


def train(run: TrainingRun, prepared: Prepared, stop: StopRequest) -> Trained:
    """Train until the last epoch ends.

    Raises:
        SpecError: Weights are sharded, and the mode is on-policy.
        EngineError: The loss is not finite, or memory runs out.
        TrainingInterrupted: A stop was requested; everything up to the last whole step is saved.
    """
    recipe, rows, folder = run.job.recipe, prepared.rows, run.folder
    learned = Prompts(rows, run.job.extraction.prefix_tokens) if prepared.sampling else rows
    trainer = DistillationTrainer(
        teacher=prepared.teacher,
        sampling=prepared.sampling,
        model=prepared.model,
        args=training_arguments(recipe, run.options.execution, run.split, folder.path, len(rows)),
        train_dataset=WholeSteps(learned, recipe.batch_size),
        data_collator=collate_prompts if prepared.sampling else Collator(recipe.packing),
    )
    if prepared.sampling and trainer.is_fsdp_enabled:
        raise SpecError(
            "DDP or one process was expected in mode on-policy, and FSDP shards the weights, with which no text can be"
            " sampled here; train on one device, or in mode soft."
        )
    callback = DistillationCallback(trainer, run, prepared.held_out, stop)
    for added in (callback, *run.options.callbacks):
        trainer.add_callback(added)
    checkpoint = latest_checkpoint(folder.path)
    resumption = f", resuming at step {folder.record_resumption(checkpoint)}" if checkpoint else ""
    examples, epochs = (
        f"{count(number)} {unit}{'s' * (number != 1)}"
        for number, unit in ((len(rows), "example"), (recipe.epochs, "epoch"))
    )
    run.options.report(f"{recipe.training}: {examples}, {epochs}{resumption}")
    folder.start_clock()
    compilation = Compilation(run.options.report) if _is_worth_compiling(run, trainer) else None
    if compilation is not None and prepared.teacher is not None:
        compile_layers(prepared.teacher.model, compilation)
    with (
        forward_returns_loss(prepared.model, prepared.objective, compilation=compilation),
        _memory_errors_explained(run),
    ):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    folder.add_elapsed_seconds()
    if callback.has_stopped:
        # Another process may have received the signal.
        signal_number = stop.signal_number or signal.SIGTERM
        raise TrainingInterrupted(
            f"Training stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, as"
            f" {SENDERS[signal.Signals(signal_number)]} asked, and every step is saved; run the same command again to"
            " continue from there.",
            signal_number,
        )
    return Trained(
        trainer.model_wrapped,
        trainer.state.global_step,
        _curve(trainer, "loss"),
        _curve(trainer, "held_out_loss"),
        _curve(trainer, figure_name(RATE, recipe.role)),
    )


def _is_worth_compiling(run: TrainingRun, trainer: DistillationTrainer) -> bool:
    """Whether layers and loss are compiled: on GPUs, where elementwise kernels take much of a step.

    Compiled layers whose weights FSDP shards were not tested.
    """
    is_on_gpu = run.processes.device.type == "cuda"
    return is_on_gpu and not run.options.execution.no_compile and not trainer.is_fsdp_enabled


@contextmanager
def _memory_errors_explained(run: TrainingRun) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(
            f"Memory for passes of {run.split.micro_batch_size} examples was expected on {run.processes.device}, and it"
            " ran out; set a smaller --micro-batch-size, or --gradient-checkpointing."
        ) from error


def _curve(trainer: DistillationTrainer, name: str) -> Curve:
    return tuple((int(entry["step"]), entry[name]) for entry in trainer.state.log_history if name in entry)
