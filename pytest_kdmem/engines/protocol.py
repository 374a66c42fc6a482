"""What an engine is to the rest, and what it is told: importing this loads no framework."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pytest_kdmem.checkpoint import Checkpoint
from pytest_kdmem.corpus.columns import Ids
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.spec import Extraction, Model, digest_of

Metrics = Literal["verdict", "all"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of n examples, each array of shape ``[n]``; NaN where a metric was not asked for.

    ``margin`` is the least over the suffix of target's logit minus the best other logit; ``first_miss`` (int16) the
    first suffix position with a negative one, −1 if none; ``logprob`` the log-probability of the suffix (nats);
    ``nll`` the mean over the window's predicted tokens (nats); ``entropy`` the mean over the suffix (nats).
    ``tolerance`` is the margin within which kernel and batch size could turn the verdict.
    """

    margin: Floats
    first_miss: npt.NDArray[np.int16]
    logprob: Floats
    nll: Floats
    entropy: Floats
    tolerance: float

    @property
    def memorized(self) -> npt.NDArray[np.bool_]:
        return self.first_miss < 0

    @property
    def ambiguous(self) -> npt.NDArray[np.bool_]:
        return np.abs(self.margin) <= self.tolerance  # NaN, a sure miss whose least margin is unknown, is not


class Engine(Protocol):
    """A loaded model. ``close`` gives its memory back."""

    tolerance: float

    def score(
        self, examples: Sequence[Example], extraction: Extraction, metrics: Metrics, advance: Callable[[int], None]
    ) -> Scores:
        """Scores of examples that are long enough; ``advance`` is told of every few that are done.

        Raises:
            EngineError: the model gives NaN, or does not fit into memory even one example at a time.
        """

    def decode(self, prefixes: Sequence[Ids], new_tokens: int) -> list[Ids]:
        """Greedy continuations by the engine's own decoding; EOS is an ordinary token."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Numerics:
    """What, beside weights and ids, the figures depend on."""

    engine: str
    device: str
    dtype: str
    torch: str
    transformers: str

    @property
    def digest(self) -> str:
        return digest_of(asdict(self))


def resolve_numerics(model: Model, checkpoint: Checkpoint, *, device: str, dtype: str) -> Numerics:
    """Settle ``auto`` without importing torch, so that stored scores can be found without it."""
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    wanted = model.dtype if model.dtype != "auto" else dtype
    if wanted == "auto":
        # A CPU gains little from half precision, and float32 keeps the ambiguous band narrow.
        wanted = "float32" if device == "cpu" else checkpoint.dtype
    return Numerics("transformers", device, wanted, version("torch"), version("transformers"))


def has_gpu() -> bool:
    """Whether this torch can be expected to find an NVIDIA GPU, told from the driver's files and the wheel's name."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and "+cpu" not in version("torch") and Path("/proc/driver/nvidia/version").exists()
