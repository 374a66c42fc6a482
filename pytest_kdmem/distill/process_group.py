"""The processes that train one model together, as `torchrun` or `accelerate launch` started them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState

from pytest_kdmem.errors import SpecError

WAITS_HOURS = 48


@dataclass(frozen=True)
class ProcessGroup:
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


def join_process_group() -> ProcessGroup:
    """Join those that were launched together; alone without a launcher."""
    # A teacher may write for hours while another process has nothing left to do.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(hours=WAITS_HOURS))
    return ProcessGroup(state.process_index, state.num_processes, state.device)


def require_single_process(where: str) -> None:
    """Raise SpecError in a process that a launcher started beside others."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError(
            f"One process was expected to train models of {where}, and WORLD_SIZE is {os.environ['WORLD_SIZE']};"
            " several train one model together by `torchrun … -m pytest_kdmem distill`."
        )
