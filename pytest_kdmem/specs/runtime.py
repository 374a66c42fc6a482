"""How models are run, as a value; what is measured does not depend on it, beyond the numerics it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import choice, optional, part_of_run, require, whole_number
from pytest_kdmem.specs.declared import DType

EXAMPLES_PER_SHARD = 2048
ENGINES = ("auto", "transformers", "vllm")
DEVICES = ("auto", "cpu", "cuda")
EXECUTORS = ("local", "ray")

_CHECKS = {
    "engine": choice(*ENGINES),
    "device": choice(*DEVICES),
    "dtype": choice(*get_args(DType)),
    "executor": choice(*EXECUTORS),
    "batch_size": optional(whole_number(1)),
    "tensor_parallel": whole_number(1),
    "workers": optional(whole_number(1)),
    "cpus_per_worker": whole_number(1),
}


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``of`` parts, from 1, that array jobs share a run into: every ``of``-th shard."""

    number: int
    of: int

    def holds(self, shard: int) -> bool:
        """Whether the shard of this index, from 0, is one of this part's."""
        return shard % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_part(text: str) -> Part:
    """Read ``3/16``.

    Raises:
        SpecError: it is no such pair of numbers.
    """
    require("shard", text, part_of_run)
    number, _, of = text.partition("/")
    return Part(int(number), int(of))


@dataclass(frozen=True)
class RunSettings:
    """How models are run.

    Args:
        batch_size: examples at once; found by itself if None.
        tensor_parallel: GPUs that share one model (vLLM).
        executor: ``local``, or ``ray`` for workers of a Ray cluster.
        workers: of Ray; as many as the cluster has room for if None.
        cpus_per_worker: CPUs that a worker of Ray takes where it has no GPU.
        part: score only this part of the shards.

    Raises:
        SpecError: a setting outside its choices.
    """

    engine: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    offline: bool = False
    tensor_parallel: int = 1
    executor: str = "local"
    workers: int | None = None
    cpus_per_worker: int = 1
    part: Part | None = None
    examples_per_shard: int = EXAMPLES_PER_SHARD

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            require(name.replace("_", "-"), getattr(self, name), check)
        if self.engine == "transformers" and self.tensor_parallel > 1:
            raise SpecError(
                f"tensor-parallel is vLLM's: 1 was expected with engine transformers; found {self.tensor_parallel}."
            )
