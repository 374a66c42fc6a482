"""What happens around each step of a training: seeds, progress, held-out loss, and checkpoints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_kdmem.distill.batches import WholeSteps
from pytest_kdmem.distill.sigterm import StopRequest
from pytest_kdmem.distill.training_run import TrainingRun

if TYPE_CHECKING:
    from pytest_kdmem.distill.trainer import DistillationTrainer


class DistillationCallback(TrainerCallback):
    """Callback of one training.

    It writes a checkpoint when one is due by time, when a stop is requested, and at the last step; all processes agree
    on the step.

    Args:
        trainer: The trainer that it is added to.
        run: The run that the trainer belongs to.
        held_out: Rows whose loss is measured at the end of each epoch, or None.
        stop: Request to stop, which any process may receive.
    """

    def __init__(
        self, trainer: DistillationTrainer, run: TrainingRun, held_out: WholeSteps | None, stop: StopRequest
    ) -> None:
        self._trainer, self._run, self._held_out, self._stop = trainer, run, held_out, stop
        self._batch_size = run.job.recipe.batch_size
        self._last_checkpoint = time.monotonic()
        self.has_stopped = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._trainer.restore_unlogged_loss()
        self._run.options.progress.start("train", state.max_steps * self._batch_size)
        self._run.options.progress.advance(state.global_step * self._batch_size)
        self._last_checkpoint = time.monotonic()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        if self._trainer.order is not None:
            self._trainer.order.epoch = state.global_step // _steps_per_epoch(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        # Dropout depends on seed, step and process alone, so checkpoints hold no state of a random generator.
        sequence = np.random.SeedSequence([args.seed, state.global_step, args.process_index])
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._run.options.progress.advance(self._batch_size)
        if self._held_out is not None and state.global_step % _steps_per_epoch(state) == 0:
            # At the end of the step and not of the epoch, so that a checkpoint of this step holds the loss.
            held_out_loss = self._trainer.held_out_loss(self._held_out)
            state.log_history.append({"step": state.global_step, "held_out_loss": held_out_loss})
        is_due = time.monotonic() - self._last_checkpoint >= 60 * self._run.options.execution.checkpoint_minutes
        stop, save = self._any_process(self._stop.is_made, is_due and args.process_index == 0)
        is_last = state.global_step >= state.max_steps
        if stop or save or is_last:  # the last step, too, because writing the model can fail
            control.should_save = True
            self._last_checkpoint = time.monotonic()
        if stop and not is_last:
            control.should_training_stop = True
            self.has_stopped = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        if self.has_stopped:
            return
        epochs = int(state.num_train_epochs)
        epoch = round(epochs * state.global_step / max(1, state.max_steps))
        latest = {name: loss for entry in state.log_history for name, loss in entry.items()}
        line = f"epoch {epoch} of {epochs}" + (f": loss {latest['loss']:.4f}" if "loss" in latest else "")
        if self._held_out is not None:
            line += f", held-out loss {latest['held_out_loss']:.4f}"
        self._run.options.report(line)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any) -> None:
        self._run.folder.add_elapsed_seconds()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._run.options.progress.finish()

    def _any_process(self, *flags: bool) -> list[bool]:
        """Each flag, true if it is true in any process, so that all processes save and stop at the same step."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=self._trainer.args.device)
        return [count > 0 for count in accelerator.reduce(counts, "sum").tolist()]


def _steps_per_epoch(state: TrainerState) -> int:
    return max(1, state.max_steps // int(state.num_train_epochs))
