"""The processes that train one model together, as `torchrun` or `accelerate launch` started them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import PartialState


@dataclass(frozen=True)
class Processes:
    """This process among ``count``, numbered from 0."""

    index: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Until every process has come here."""
        PartialState().wait_for_everyone()

    def first_only(self, act: Callable[[], None]) -> None:
        """Let the first act, and the others wait until it has."""
        if self.is_first:
            act()
        self.wait()


def join_processes() -> Processes:
    """Join those that were launched together; alone without a launcher."""
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, state.device)
