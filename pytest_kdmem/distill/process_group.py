"""The group of processes that train one model together, as `torchrun` or `accelerate launch` started them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce

from pytest_kdmem.errors import SpecError

# A teacher may generate text for hours while another process has nothing left to do and waits.
TIMEOUT_HOURS = 48


@dataclass(frozen=True)
class ProcessGroup:
    """This process and its group.

    Args:
        index: Number of this process, from 0.
        count: Number of processes.
        device: Device that this process computes on.
    """

    index: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Wait until every process of the group calls this."""
        PartialState().wait_for_everyone()

    def run_on_first(self, act: Callable[[], None]) -> None:
        """Call ``act`` in the first process while the others wait for it."""
        if self.is_first:
            act()
        self.wait()

    def any(self, flag: bool) -> bool:
        """Whether a flag is true in any process of the group; every process calls this."""
        if self.count == 1:
            return flag
        return bool(reduce(torch.tensor(float(flag), device=self.device), "sum") > 0)

    def of_first(self, text: str) -> str:
        """The text that the first process calls this with; every process calls this."""
        texts = [text]
        if self.count > 1:
            broadcast_object_list(texts)
        return texts[0]


def join_process_group() -> ProcessGroup:
    """Join the processes that a launcher started together; without a launcher, the group is this process alone."""
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(hours=TIMEOUT_HOURS))
    return ProcessGroup(state.process_index, state.num_processes, state.device)


def require_one_machine(caller: str) -> None:
    """Raise SpecError if a launcher started this process together with processes on other machines."""
    everywhere = os.environ.get("WORLD_SIZE", "1")
    if (on_this_machine := os.environ.get("LOCAL_WORLD_SIZE", everywhere)) != everywhere:
        raise SpecError(
            f"Processes of one machine were expected in {caller}, and {everywhere} were started, {on_this_machine} of"
            " them here; start it on one machine."
        )


def require_single_process(caller: str) -> None:
    """Raise SpecError if a launcher started this process together with others."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError(
            f"One process was expected to train models of {caller}, and WORLD_SIZE is {os.environ['WORLD_SIZE']};"
            " several train one model together by `torchrun … -m pytest_kdmem distill`."
        )
