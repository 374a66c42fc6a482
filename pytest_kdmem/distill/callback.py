"""What happens around each step of a training: seeds, progress, held-out loss, and checkpoints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_kdmem.distill.batches import WholeSteps
from pytest_kdmem.distill.stop_request import StopRequest
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
        self._last_checkpoint = self._began = time.monotonic()
        self.has_stopped = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._trainer.restore_unlogged_loss()
        self._run.options.progress.start("train", state.max_steps * self._batch_size)
        self._run.options.progress.advance(state.global_step * self._batch_size)
        self._last_checkpoint = self._began = time.monotonic()

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
        self._run.options.progress.note(self._standing(state))
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
        losses = {"mean loss": mean_loss(state.log_history, state.global_step - _steps_per_epoch(state))}
        if self._held_out is not None:
            losses["held-out loss"] = _latest(state, "held_out_loss")
        measured = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items() if loss is not None)
        self._run.options.report(f"epoch {epoch} of {epochs}" + (f": {measured} nats per token" if measured else ""))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any) -> None:
        self._run.folder.add_elapsed_seconds()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._run.options.progress.finish()

    def _standing(self, state: TrainerState) -> str:
        """Loss, learning rate and speed, as far as they are known."""
        loss, learning_rate = _latest(state, "loss"), _latest(state, "learning_rate")
        tokens_per_second = self._trainer.predicted_tokens / max(1e-9, time.monotonic() - self._began)
        return ", ".join(
            [
                *([f"loss {loss:.4f}"] if loss is not None else []),
                *([f"learning rate {learning_rate:.1e}"] if learning_rate is not None else []),
                f"{tokens_per_second:.0f} tokens/s",
            ]
        )

    def _any_process(self, *flags: bool) -> list[bool]:
        """Each flag, true if it is true in any process, so that all processes save and stop at the same step."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=self._trainer.args.device)
        return [count > 0 for count in accelerator.reduce(counts, "sum").tolist()]


def mean_loss(log_history: list[dict[str, float]], after_step: int) -> float | None:
    """Mean of the training losses that were logged after a step, each of which is the mean of equally many steps."""
    losses = [entry["loss"] for entry in log_history if "loss" in entry and entry["step"] > after_step]
    return sum(losses) / len(losses) if losses else None


def _latest(state: TrainerState, name: str) -> float | None:
    return next((entry[name] for entry in reversed(state.log_history) if name in entry), None)


def _steps_per_epoch(state: TrainerState) -> int:
    return max(1, state.max_steps // int(state.num_train_epochs))
