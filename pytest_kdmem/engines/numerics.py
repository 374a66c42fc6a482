"""What, beside weights and ids, figures depend on: engine, device, dtype and versions, settled without a framework."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.engines.vllm.versions import SUPPORTED_ARCHITECTURES, TESTED, check_vllm, installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.runtime import ENGINES


@dataclass(frozen=True)
class Numerics:
    """What, beside weights and ids, the figures depend on; ``vllm`` is its version where it is the engine."""

    engine: str
    device: str
    dtype: str
    torch: str
    transformers: str
    vllm: str | None = None

    @property
    def digest(self) -> str:
        return digest_of({name: value for name, value in asdict(self).items() if value is not None})


def resolve_numerics(
    model: Model, checkpoint: Checkpoint, *, engine: str, device: str, dtype: str, metrics: Metrics
) -> Numerics:
    """Settle ``auto`` without importing torch, so that stored scores can be found without it.

    ``auto`` is vLLM for verdicts on a GPU, where it is faster; the other columns come of the transformers engine's
    one pass, which gives the verdicts as well.

    Raises:
        EngineError: vLLM was asked for by name and is not installed, or its version or the model's architecture was
            not tested.
    """
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    wanted = model.dtype if model.dtype != "auto" else dtype
    if wanted == "auto":
        # A CPU gains little from half precision, and float32 keeps the ambiguous band narrow.
        wanted = "float32" if device == "cpu" else checkpoint.dtype
    if engine == "auto":
        fits = metrics == "verdict" and device == "cuda" and not unfit_for_vllm(model, checkpoint)
        engine = "vllm" if fits and installed_vllm() in TESTED else "transformers"
    found = None
    if engine == "vllm":
        check_vllm()
        found = installed_vllm()
        if reason := unfit_for_vllm(model, checkpoint):
            raise EngineError(f"{reason}: use --kdmem-engine transformers.")
    return Numerics(engine, device, wanted, version("torch"), version("transformers"), found)


def unfit_for_vllm(model: Model, checkpoint: Checkpoint) -> str:
    """Why vLLM may compute something else of this model than transformers does, or nothing."""
    expected = "was expected by the vllm engine"
    if checkpoint.architecture not in SUPPORTED_ARCHITECTURES:
        return (
            f"A model of {', '.join(sorted(SUPPORTED_ARCHITECTURES))} {expected}, on which it was tested; found"
            f" {checkpoint.architecture} in {model.source}"
        )
    if checkpoint.quantized:
        return (
            f"A model that is not quantized {expected}, whose kernels for these were not tested; found {model.source}"
        )
    if model.trust_remote_code:
        return f"A model without code of its own {expected}, which runs none; {model.source} is trusted to have some"
    return ""


def installed_engines() -> tuple[str, ...]:
    """Engines that can be asked for here."""
    return tuple(name for name in ENGINES[1:] if name == "transformers" or installed_vllm() in TESTED)


def has_gpu() -> bool:
    """Whether this torch can be expected to find an NVIDIA GPU, told from the driver's files and the wheel's name."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and "+cpu" not in version("torch") and Path("/proc/driver/nvidia/version").exists()
