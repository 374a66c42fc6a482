"""A `transformers.Trainer` with a loss, an order of rows and checkpoints of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PrinterCallback, Trainer

from pytest_kdmem.distill.batches import SeededOrder, WholeSteps, predicted_mask
from pytest_kdmem.distill.checkpoints import read_checkpoint, write_checkpoint
from pytest_kdmem.distill.on_policy import SampledText
from pytest_kdmem.distill.teachers import LiveTeacher, StoredOutputs
from pytest_kdmem.errors import EngineError


class DistillationTrainer(Trainer):
    """Trains a model whose forward pass returns its loss (`forward_returns_loss`), with a teacher if there is one.

    The loss of a step is its sum over predicted tokens divided by their number, both over all micro-batches and
    processes. The teacher is frozen and no part of the model, so neither DDP nor a checkpoint holds it.

    Args:
        teacher: Reads each batch beside the student; None if none is needed, or if rows hold its log-probabilities.
        sampling: Lets the student continue the prompts of each step before it learns from them; None where rows are
            learned as they are.
        arguments: Arguments of `transformers.Trainer`; ``train_dataset`` must be a `WholeSteps`.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, teacher: LiveTeacher | None, sampling: SampledText | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = True  # makes Trainer pass the number of the step's predicted tokens
        self.remove_callback(PrinterCallback)  # prints dictionaries where the progress bar is off
        self.teacher, self.sampling = teacher, sampling
        if teacher is not None:
            teacher.to(self.args.device)
        self.order: SeededOrder | None = None
        self._resumed_progress: dict[str, Any] = {}
        self.predicted_tokens = 0  # of all steps of this process's run, over all processes

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        loss = self._summed_loss(model, inputs)
        tokens = num_items_in_batch if num_items_in_batch is not None else predicted_mask(inputs["labels"]).sum()
        # DDP and FSDP average gradients over processes, while the number of tokens is that of all processes together.
        loss = loss * self.accelerator.num_processes / torch.as_tensor(tokens, device=loss.device).clamp(min=1)
        return (loss, {}) if return_outputs else loss

    def _summed_loss(self, model: nn.Module, inputs: dict[str, Tensor | Any]) -> Tensor:
        ids, labels, positions = inputs["input_ids"], inputs["labels"], inputs.get("position_ids")
        outputs: Any = None
        if model.training and "teacher_ids" in inputs:
            outputs = StoredOutputs(inputs["teacher_ids"], inputs["teacher_logprobs"])
        elif model.training and self.teacher is not None:
            with self.accelerator.autocast():
                outputs = self.teacher.outputs(ids, positions, predicted_mask(labels))
        # Through the wrapped model, so that DDP and FSDP take part in the pass.
        loss: Tensor = model(input_ids=ids, labels=labels, position_ids=positions, teacher=outputs)
        return loss

    @torch.no_grad()
    def held_out_loss(self, rows: WholeSteps) -> float:
        """Cross-entropy in nats per predicted token over ``rows``, of all processes together."""
        model, was_training = self.model_wrapped, self.model_wrapped.training
        model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in self.get_eval_dataloader(rows):
            inputs = self._prepare_inputs(batch)
            with self.compute_loss_context_manager():
                sums[0] += self._summed_loss(model, inputs).double()
            sums[1] += predicted_mask(inputs["labels"]).sum()
        model.train(was_training)
        total, tokens = self.accelerator.reduce(sums, "sum").tolist()
        return total / tokens if tokens else float("nan")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        loss = logs.get("loss")
        self._check_finite(loss if loss is not None else 0.0)
        super().log(logs, start_time)

    def _check_finite(self, loss: float) -> None:
        if not isfinite(loss):
            raise EngineError(
                f"A finite loss was expected, and it is {loss} at step {self.state.global_step}; lower the learning"
                " rate, or check teacher and initial weights."
            )

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        if self.sampling is None:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        # All passes of a step learn from text of the same weights, and its tokens are counted once it is written.
        prompts, model = list(islice(epoch_iterator, num_batches)), cast(PreTrainedModel, self.model)
        with self.accelerator.autocast():
            sampled = [self.sampling.continued(model, batch, self.state.global_step) for batch in prompts]
        return sampled, self._get_num_items_in_batch(sampled, device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor:
        tokens = [predicted_mask(batch["labels"]).sum().to(device) for batch in batch_samples]
        total: Tensor = self.accelerator.reduce(torch.stack(tokens).sum(), "sum")
        self.predicted_tokens += int(total)
        return total

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        self.order = SeededOrder(self.train_dataset, self.args.seed)  # type: ignore[arg-type]
        return self.order

    # Trainer's own checkpoints are pickled and tied to the number of processes; the next methods replace them.

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        unlogged_loss = float(self.accelerator.reduce(self._tr_loss.detach().clone(), "mean"))
        self._check_finite(unlogged_loss)
        progress = {
            "step": self.state.global_step,
            "scheduler": self.lr_scheduler.state_dict(),  # type: ignore[union-attr]
            # The loss since the last log line, so that a resumed training continues the curve.
            "unlogged_loss": unlogged_loss,
            "logged_at": self._globalstep_last_logged,
        }
        state = json.dumps(asdict(self.state))
        write_checkpoint(Path(str(self.args.output_dir)), model, _unwrapped(self.optimizer), progress, state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Do nothing: weights are loaded together with the optimizer, once both are wrapped."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            progress = read_checkpoint(Path(checkpoint), self.model_wrapped, _unwrapped(self.optimizer))
            self.lr_scheduler.load_state_dict(progress["scheduler"])  # type: ignore[union-attr]
            self._resumed_progress = progress

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Do nothing: random numbers depend on seed, step and process alone, see `DistillationCallback`."""

    def restore_unlogged_loss(self) -> None:
        """Continue the loss curve of the checkpoint; Trainer has just begun a new one."""
        if self._resumed_progress:
            self._tr_loss += self._resumed_progress["unlogged_loss"]
            self._globalstep_last_logged = self._resumed_progress["logged_at"]


def _unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer inside accelerate's wrapper."""
    inner: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)
    return inner
