"""Distillation as a `transformers.Trainer`: only the loss is ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer

from pytest_kdmem.distill.losses import IGNORED, forward_kl


class SoftDistillationTrainer(Trainer):
    """Trains ``model`` to match ``teacher``'s next-token distributions; evaluates by cross-entropy, as all others are.

    One loss = sum over predicted tokens / predicted tokens of the whole step, over micro-batches and processes. The
    teacher is frozen and is no part of the model, so no checkpoint holds it.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, teacher: PreTrainedModel, temperature: float, vocabulary: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.teacher = teacher.eval().requires_grad_(False)
        nn.Module.to(self.teacher, self.args.device)
        self.temperature = temperature
        self.vocabulary = vocabulary
        self.model_accepts_loss_kwargs = True  # asks Trainer for the step's token count

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        outputs = model(input_ids=inputs["input_ids"])
        with torch.inference_mode(), self.accelerator.autocast():
            teacher_logits = self.teacher(input_ids=inputs["input_ids"]).logits
        divergence = forward_kl(
            outputs.logits, teacher_logits, labels, temperature=self.temperature, vocabulary=self.vocabulary
        )
        tokens = num_items_in_batch if num_items_in_batch is not None else (labels[:, 1:] != IGNORED).sum()
        loss = divergence / torch.as_tensor(tokens, device=divergence.device).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients; the count is global already
        return (loss, outputs) if return_outputs else loss
