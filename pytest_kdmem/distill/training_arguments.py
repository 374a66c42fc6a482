"""Recipe and execution → arguments of `transformers.Trainer`."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import torch
from transformers import TrainingArguments

from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.recipe import Recipe

# Largest number of points of a loss curve.
CURVE_POINTS = 500


def training_arguments(
    recipe: Recipe, execution: Execution, split: StepSplit, folder: Path, examples: int
) -> TrainingArguments:
    """Arguments for training by a recipe.

    Args:
        recipe: Settings that decide the result.
        execution: Settings that do not change the result.
        split: How a step is split over forward passes.
        folder: Folder of checkpoints.
        examples: Number of examples of an epoch.
    """
    steps = recipe.epochs * ceil(examples / recipe.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=split.micro_batch_size,
        per_device_eval_batch_size=split.micro_batch_size,
        gradient_accumulation_steps=split.passes,
        gradient_checkpointing=execution.gradient_checkpointing,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        # In steps, because Trainer takes a share of 1 for one step; and the first step of a warm-up changes nothing.
        warmup_steps=ceil(recipe.warmup * steps) if steps > 1 else 0,
        weight_decay=recipe.weight_decay,
        optim="adamw_torch_fused",  # named, because the default depends on the version of torch
        max_grad_norm=recipe.max_gradient_norm,
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=recipe.precision == "bfloat16",
        ddp_find_unused_parameters=False,
        save_strategy="no",
        logging_steps=max(1, steps // CURVE_POINTS),
        logging_nan_inf_filter=False,
        report_to=list(execution.trackers),
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # Trainer would spread one process over all GPUs by nn.DataParallel; several GPUs are left to the launcher.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
