"""How a recipe is run on the machine at hand; what it gives does not depend on it, beyond rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError


@dataclass(frozen=True)
class Execution:
    """Settings of a run.

    Args:
        micro_batch_size: examples a pass and process; a step of the recipe's batch size is made of as many passes as
            it takes. None: the whole share of a process at once.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        checkpoint_minutes: between checkpoints of an unfinished training; 0 writes one at every step.

    Raises:
        SpecError: a size below 1 or a negative time.
    """

    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            raise SpecError(f"micro-batch-size must be at least 1; found {self.micro_batch_size}.")
        if not self.checkpoint_minutes >= 0:
            raise SpecError(f"checkpoint-minutes must not be negative; found {self.checkpoint_minutes}.")

    def passes_a_step(self, batch_size: int, processes: int) -> tuple[int, int]:
        """Examples a pass and process, and passes a step.

        Raises:
            SpecError: the batch cannot be shared out evenly.
        """
        share, left = divmod(batch_size, processes)
        size = min(self.micro_batch_size or max(share, 1), max(share, 1))
        if left or share % size:
            raise SpecError(
                f"A batch-size that {processes} processes share in passes of {size} was expected; found {batch_size}:"
                f" choose a multiple of {processes * size}, or another --micro-batch-size."
            )
        return size, share // size


def recipe_and_execution(settings: Mapping[str, Any]) -> tuple[Recipe, Execution]:
    """Settings by name → the recipe's and the run's.

    Raises:
        SpecError: a name that neither has, or a value that does not suit it.
    """
    own = {field.name for field in fields(Execution)}
    known = own | {field.name for field in fields(Recipe)}
    if unknown := sorted(settings.keys() - known):
        raise SpecError(f"A setting of training must be one of {', '.join(sorted(known))}; found {unknown[0]!r}.")
    recipe = {name: value for name, value in settings.items() if name not in own}
    return Recipe(**recipe), Execution(**{name: value for name, value in settings.items() if name in own})
