"""What happens around each step: seeds, progress, held-out loss, and checkpoints in time or on SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.distill.batches import WholeSteps

if TYPE_CHECKING:
    from pytest_kdmem.distill.trainer import DistillationTrainer


class DistillationCallback(TrainerCallback):
    """Watches one training.

    Args:
        checkpoint_minutes: between checkpoints; 0 writes one at every step.
        batch_size: examples a step, for the progress.
        held_out: evaluated at the end of each epoch.
        progress, report: told of examples done, and of each epoch in a line.
        saved: called after each checkpoint.
    """

    def __init__(
        self,
        trainer: DistillationTrainer,
        *,
        checkpoint_minutes: float,
        batch_size: int,
        held_out: WholeSteps | None,
        progress: Progress,
        report: Callable[[str], None],
        saved: Callable[[], None],
    ) -> None:
        self._trainer, self._held_out = trainer, held_out
        self._interval_s, self._batch_size = 60 * checkpoint_minutes, batch_size
        self._progress, self._report, self._after_save = progress, report, saved
        self._asked_to_stop = False
        self._saved = time.monotonic()
        self.stopped = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, SIGTERM asks for a checkpoint and the end of the training instead of killing the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(_signal: int, _frame: object) -> None:
            self._asked_to_stop = True

        before = signal.signal(signal.SIGTERM, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        self._trainer.restore_unlogged_loss()
        self._progress.start("train", state.max_steps * self._batch_size)
        self._progress.advance(state.global_step * self._batch_size)
        self._saved = time.monotonic()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        if self._trainer.order is not None:
            self._trainer.order.epoch = state.global_step // _steps_an_epoch(state)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # Dropout, where a model has it, so needs no state in checkpoints.
        chance = np.random.SeedSequence([args.seed, state.global_step, args.process_index])
        torch.manual_seed(int(chance.generate_state(1)[0]))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.advance(self._batch_size)
        if self._held_out is not None and state.global_step % _steps_an_epoch(state) == 0:
            # Here, and not at the epoch's end, so that a checkpoint of this step holds it.
            held_out = self._trainer.held_out_loss(self._held_out)
            state.log_history.append({"step": state.global_step, "held_out_loss": held_out})
        due = time.monotonic() - self._saved >= self._interval_s
        stop, save = self._agreed(self._asked_to_stop, due and args.process_index == 0)
        is_last = state.global_step >= state.max_steps
        if stop or save or is_last:  # the last one, too: writing the model can fail
            control.should_save = True
            self._saved = time.monotonic()
        if stop and not is_last:
            control.should_training_stop = True
            self.stopped = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.stopped:
            return
        epochs = int(state.num_train_epochs)
        epoch = round(epochs * state.global_step / max(1, state.max_steps))
        last = {name: loss for entry in state.log_history for name, loss in entry.items()}
        line = f"epoch {epoch} of {epochs}" + (f": loss {last['loss']:.4f}" if "loss" in last else "")
        if self._held_out is not None:
            line += f", held-out loss {last['held_out_loss']:.4f}"
        self._report(line)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._after_save()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.finish()

    def _agreed(self, *flags: bool) -> list[bool]:
        """Each flag, true where any process has it, so that all of them save and stop at the same step."""
        if self._trainer.accelerator.num_processes == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.float32, device=self._trainer.args.device)
        return [value > 0 for value in self._trainer.accelerator.reduce(raised, "sum").tolist()]


def _steps_an_epoch(state: TrainerState) -> int:
    return max(1, state.max_steps // int(state.num_train_epochs))
