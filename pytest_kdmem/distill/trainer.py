"""Training as a `transformers.Trainer`: loss, order of rows and checkpoints are ours, the rest is its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainingArguments

from pytest_kdmem.distill.batches import SeededOrder, WholeSteps
from pytest_kdmem.distill.checkpoints import read_checkpoint, write_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.loss_forward import predicted_mask
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.teachers import LiveTeacher, StoredOutputs
from pytest_kdmem.errors import EngineError

POINTS_OF_CURVE = 500


class DistillationTrainer(Trainer):
    """Trains a model that is `forward_returns_loss` an objective, from a teacher where there is one.

    One loss = sum over predicted tokens / predicted tokens of the whole step, over all micro-batches and processes. The
    teacher is frozen and stands outside the model, so neither DDP nor a checkpoint holds it.

    Args:
        teacher: reads each batch beside the student; None where none is needed, or batches bring what it said.
        train_dataset: `WholeSteps`, so that every step shares out evenly.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, teacher: LiveTeacher | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = True  # asks Trainer for the step's token count
        self.remove_callback(PrinterCallback)  # prints dictionaries where the progress bar is off
        self.teacher = teacher
        if teacher is not None:
            teacher.to(self.args.device)
        self.order: SeededOrder | None = None
        self.resumed: dict[str, Any] = {}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        loss = self._summed(model, inputs)
        tokens = num_items_in_batch if num_items_in_batch is not None else predicted_mask(inputs["labels"]).sum()
        # DDP and FSDP average gradients over processes, and the count is that of all of them.
        loss = loss * self.accelerator.num_processes / torch.as_tensor(tokens, device=loss.device).clamp(min=1)
        return (loss, {}) if return_outputs else loss

    def _summed(self, model: nn.Module, inputs: dict[str, Tensor | Any]) -> Tensor:
        ids, labels, positions = inputs["input_ids"], inputs["labels"], inputs.get("position_ids")
        view: Any = None
        if model.training and "teacher_ids" in inputs:
            view = StoredOutputs(inputs["teacher_ids"], inputs["teacher_logprobs"])
        elif model.training and self.teacher is not None:
            with self.accelerator.autocast():
                view = self.teacher.read(ids, positions, predicted_mask(labels))
        # Through the wrapped model, so that DDP and FSDP see the pass.
        loss: Tensor = model(input_ids=ids, labels=labels, position_ids=positions, teacher=view)
        return loss

    @torch.no_grad()
    def held_out_loss(self, rows: WholeSteps) -> float:
        """Cross-entropy in nats a token over ``rows``, of all processes together."""
        model, was_training = self.model_wrapped, self.model_wrapped.training
        model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in self.get_eval_dataloader(rows):
            inputs = self._prepare_inputs(batch)
            with self.compute_loss_context_manager():
                sums[0] += self._summed(model, inputs).double()
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

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor:
        tokens = [predicted_mask(batch["labels"]).sum().to(device) for batch in batch_samples]
        total: Tensor = self.accelerator.reduce(torch.stack(tokens).sum(), "sum")
        return total

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        self.order = SeededOrder(self.train_dataset, self.args.seed)  # type: ignore[arg-type]
        return self.order

    # Checkpoints of Trainer's own are pickled, and tied to the number of processes.

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        unlogged = float(self.accelerator.reduce(self._tr_loss.detach().clone(), "mean"))
        self._check_finite(unlogged)
        progress = {
            "step": self.state.global_step,
            "scheduler": self.lr_scheduler.state_dict(),  # type: ignore[union-attr]
            # The loss since the last log line, so that the curve goes on where it stood.
            "unlogged_loss": unlogged,
            "logged_at": self._globalstep_last_logged,
        }
        state = json.dumps(asdict(self.state))
        write_checkpoint(Path(str(self.args.output_dir)), model, _inner(self.optimizer), progress, state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Nothing yet: weights come back with the optimizer, when both are wrapped."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            progress = read_checkpoint(Path(checkpoint), self.model_wrapped, _inner(self.optimizer))
            self.lr_scheduler.load_state_dict(progress["scheduler"])  # type: ignore[union-attr]
            self.resumed = progress

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: chance follows from seed, step and process, see `DistillationCallback`."""

    def restore_unlogged_loss(self) -> None:
        """Go on with the loss curve where the checkpoint left it; Trainer has just begun a new one."""
        if self.resumed:
            self._tr_loss += self.resumed["unlogged_loss"]
            self._globalstep_last_logged = self.resumed["logged_at"]


def arguments_of(
    recipe: Recipe, execution: Execution, folder: Path, passes: tuple[int, int], examples: int
) -> TrainingArguments:
    """Trainer's arguments for a recipe.

    Args:
        folder: of checkpoints.
        passes: examples a pass and process, and passes a step.
    """
    micro_batch, passes_a_step = passes
    steps = recipe.epochs * -(-examples // recipe.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch,
        gradient_accumulation_steps=passes_a_step,
        gradient_checkpointing=execution.gradient_checkpointing,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        # Given as a share, 1 would be one step; and the first step of a warm-up changes nothing.
        warmup_steps=ceil(recipe.warmup * steps) if steps > 1 else 0,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_gradient_norm,
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=recipe.precision == "bfloat16",
        ddp_find_unused_parameters=False,
        save_strategy="no",
        logging_steps=max(1, steps // POINTS_OF_CURVE),
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # Trainer would spread one process over all GPUs by nn.DataParallel; several processes are the launcher's matter.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _inner(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer inside accelerate's wrapper."""
    inner: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)
    return inner
