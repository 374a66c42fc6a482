"""Takes the model of a trainer as it is, to be scored while it is trained, and refuses what was not tested."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from pytest_kdmem.engines.transformers.live import LiveModel
from pytest_kdmem.errors import SpecError


def live_model(trainer: Trainer, batch_size: int | None) -> LiveModel:
    """The model that a trainer trains.

    Args:
        trainer: The trainer, whose model is wrapped for training.
        batch_size: Examples of a forward pass; those of the trainer's evaluation if None.

    Raises:
        SpecError: The model is trained in a way in which scoring was not tested.
    """
    arguments = trainer.args
    if reason := _untested(trainer):
        raise SpecError(
            "A model that is trained by one process, by DDP or by FSDP was expected, as scoring was tested with these;"
            f" found {reason}: audit the saved model instead."
        )
    weights = [weight for weight in trainer.model.parameters() if weight.is_floating_point()]  # type: ignore[union-attr]
    dtype = torch.bfloat16 if arguments.bf16 else torch.float16 if arguments.fp16 else weights[-1].dtype
    return LiveModel(
        # FSDP needs the module that it wrapped; of all others the one inside computes the same without them.
        trainer.model,  # type: ignore[arg-type]
        arguments.device,
        dtype,
        batch_size or arguments.eval_batch_size,
        is_sharded=trainer.is_fsdp_enabled,
    )


def _untested(trainer: Trainer) -> str:
    """How a model is trained if scoring was not tested with that; empty if it was."""
    if trainer.is_deepspeed_enabled:
        return "DeepSpeed"
    parallelism: Any = getattr(trainer.accelerator, "parallelism_config", None)
    for name, words in (("tp", "tensor parallelism"), ("cp", "context parallelism"), ("sp", "sequence parallelism")):
        if getattr(parallelism, f"{name}_enabled", False):
            return words
    adapters: Any = getattr(trainer.model, "peft_config", {})
    if any(getattr(adapter, "is_prompt_learning", False) for adapter in adapters.values()):
        return "an adapter of learned prompts"
    return ""
