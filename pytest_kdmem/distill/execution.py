"""Settings of how a training runs on a machine; they change the trained model by rounding only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pytest_kdmem.base.text import nearest
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.checks import number, optional, require, whole_number
from pytest_kdmem.specs.other_readings import split_names
from pytest_kdmem.specs.trackers import tracker_names


@dataclass(frozen=True)
class StepSplit:
    """How one process computes its share of an optimizer step.

    Args:
        micro_batch_size: Examples per forward pass.
        passes: Forward passes per step.
    """

    micro_batch_size: int
    passes: int


@dataclass(frozen=True)
class Execution:
    """How a training runs.

    Args:
        micro_batch_size: Examples per forward pass of one process; an optimizer step takes as many passes as its batch
            needs. None: one pass takes the whole share of a process.
        gradient_checkpointing: Recompute activations in the backward pass instead of keeping them in memory.
        checkpoint_minutes: Minutes between checkpoints of an unfinished training; 0 writes one after every step.
        no_compile: Do not compile decoder layers and loss for a GPU. On CPUs nothing is compiled.
        report_to: Trackers that follow the training, separated by commas: tensorboard, mlflow, trackio, wandb.

    Raises:
        SpecError: The size is no whole number of at least 1, the time is negative, or there is no such tracker.
    """

    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = 10.0
    no_compile: bool = False
    report_to: str | None = None

    def __post_init__(self) -> None:
        require("micro-batch-size", self.micro_batch_size, optional(whole_number(1)))
        require("report-to", self.report_to, optional(tracker_names))
        require("checkpoint-minutes", self.checkpoint_minutes, number(least=0, finite=False))

    @property
    def trackers(self) -> tuple[str, ...]:
        """Names of the trackers that follow the training."""
        return split_names(self.report_to)

    def split_step(self, batch_size: int, processes: int) -> StepSplit:
        """Split a batch evenly over processes and forward passes.

        Raises:
            SpecError: The batch cannot be split evenly.
        """
        share, remainder = divmod(batch_size, processes)
        size = min(self.micro_batch_size or max(share, 1), max(share, 1))
        if remainder or share % size:
            raise SpecError(
                f"A batch-size that {processes} processes share in passes of {size} was expected; found {batch_size}:"
                f" choose a multiple of {processes * size}, or another --micro-batch-size."
            )
        return StepSplit(size, share // size)


def recipe_and_execution(settings: Mapping[str, Any]) -> tuple[Recipe, Execution]:
    """Settings by name, split into those of a recipe and those of its execution.

    Raises:
        SpecError: Neither of the two has a setting of this name, or its value is invalid.
    """
    execution_names = {field.name for field in fields(Execution)}
    valid_names = execution_names | {field.name for field in fields(Recipe)}
    if unknown := sorted(settings.keys() - valid_names):
        raise SpecError(
            f"A setting of training was expected, and there is none named {quoted(unknown[0])}; did you mean"
            f" {nearest(unknown[0], valid_names)}? There are {', '.join(sorted(valid_names))}."
        )
    recipe = {name: value for name, value in settings.items() if name not in execution_names}
    return Recipe(**recipe), Execution(**{name: value for name, value in settings.items() if name in execution_names})
