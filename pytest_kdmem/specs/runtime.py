"""Settings of how models are run; they change results only through the precision of the computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, get_args

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import choice, optional, part_of_run, require, whole_number
from pytest_kdmem.specs.declared import DType, Extraction
from pytest_kdmem.specs.other_readings import accepted_readings, split_names

EXAMPLES_PER_SHARD = 2048
ENGINES = ("auto", "transformers", "vllm")
DEVICES = ("auto", "cpu", "cuda")
EXECUTORS = ("local", "ray")
SCREEN_DTYPES = ("auto", "none", "bfloat16", "float16")

_CHECKS = {
    "engine": choice(*ENGINES),
    "device": choice(*DEVICES),
    "dtype": choice(*get_args(DType)),
    "screen_dtype": choice(*SCREEN_DTYPES),
    "executor": choice(*EXECUTORS),
    "batch_size": optional(whole_number(1)),
    "tensor_parallel": whole_number(1),
    "workers": optional(whole_number(1)),
    "cpus_per_worker": whole_number(1),
    "accept_reading": optional(accepted_readings),
}


@dataclass(frozen=True)
class Part:
    """One of several parts of a run that array jobs score: every ``count``-th shard.

    Args:
        number: Number of this part, from 1.
        count: Number of parts.
    """

    number: int
    count: int

    def contains(self, shard: int) -> bool:
        """Whether the shard with this index, from 0, belongs to this part."""
        return shard % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_part(text: str) -> Part:
    """Parse a part such as ``3/16``.

    Raises:
        SpecError: The text is no such pair of numbers.
    """
    require("shard", text[:40], part_of_run)  # no part is that long, and messages stay short
    number, _, count = text.partition("/")
    return Part(int(number), int(count))


@dataclass(frozen=True)
class RunSettings:
    """How models are run.

    Args:
        engine: Library that runs the models: ``transformers``, ``vllm`` or ``auto``.
        device: ``cpu``, ``cuda`` or ``auto``.
        dtype: Precision of the computation, or ``auto`` for float32 after a screening where that is faster.
        screen_dtype: Precision of the screening, ``none`` for no screening, or ``auto``.
        batch_size: Examples per forward pass; chosen to fit if None.
        offline: Never open a network connection.
        tensor_parallel: Number of GPUs that vLLM splits a model over.
        executor: ``local``, or ``ray`` for the workers of a Ray cluster.
        workers: Number of Ray workers; as many as the cluster has room for if None.
        cpus_per_worker: Number of CPUs that a Ray worker without a GPU takes.
        part: Score only this part of the shards.
        no_compile: Run models as they were written, and do not compile their layers for a GPU.
        dry_run: Run a few batches, store nothing, and tell what the whole would take.
        accept_reading: Names of other readings that may be more likely than the declared one, separated by commas.
        examples_per_shard: Number of examples in a shard.

    Raises:
        SpecError: A setting is not among its choices.
    """

    engine: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    screen_dtype: str = "auto"
    batch_size: int | None = None
    offline: bool = False
    tensor_parallel: int = 1
    executor: str = "local"
    workers: int | None = None
    cpus_per_worker: int = 1
    no_compile: bool = False
    part: Part | None = None
    accept_reading: str | None = None
    dry_run: bool = False
    examples_per_shard: int = EXAMPLES_PER_SHARD

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            require(name.replace("_", "-"), getattr(self, name), check)
        if self.dtype != "auto" and self.screen_dtype not in ("auto", "none"):
            raise SpecError(
                f"dtype auto was expected with screen-dtype {self.screen_dtype}, because a dtype that is named is the"
                f" only one; found {self.dtype}."
            )
        if self.engine == "transformers" and self.tensor_parallel > 1:
            raise SpecError(
                f"tensor-parallel must be 1 with engine transformers, because it is an option of vLLM; found"
                f" {self.tensor_parallel}."
            )

    @property
    def holds_no_gate(self) -> bool:
        """Whether less is run than gates need: a part, or a dry run."""
        return self.part is not None or self.dry_run

    @property
    def accepted_readings(self) -> tuple[str, ...]:
        """Names of the readings that are accepted."""
        return split_names(self.accept_reading)


class SettingValues(Protocol):
    """The value of every setting, by key."""

    def __getitem__(self, key: str, /) -> Any: ...


def run_settings(values: SettingValues) -> RunSettings:
    """Return how models are run by the settings of an audit."""
    return RunSettings(
        engine=values["engine"],
        device=values["device"],
        dtype=values["dtype"],
        screen_dtype=values["screen_dtype"],
        batch_size=values["batch_size"],
        offline=values["offline"] or False,
        tensor_parallel=values["tensor_parallel"],
        executor=values["executor"],
        workers=values["workers"],
        cpus_per_worker=values["cpus_per_worker"],
        no_compile=values["no_compile"] or False,
        part=parse_part(values["shard"]) if values["shard"] else None,
        accept_reading=values["accept_reading"],
        dry_run=values["dry_run"] or False,
    )


def extraction(values: SettingValues) -> Extraction:
    """Return the lengths by the settings of an audit."""
    return Extraction(*(values[f"{part}_tokens"] for part in ("prefix", "suffix", "window")))
