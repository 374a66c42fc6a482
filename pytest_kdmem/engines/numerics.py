"""Everything but weights and token ids that scores depend on, resolved without importing a framework."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.engines.vllm.configurations import uncompared_setting
from pytest_kdmem.engines.vllm.versions import SUPPORTED_ARCHITECTURES, TESTED, check_vllm, installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.runtime import ENGINES

# Exists if the NVIDIA driver is loaded.
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Numerics:
    """Engine, device, dtype and versions of the frameworks; ``vllm`` is None unless vLLM is the engine."""

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
    """Resolve ``auto`` settings without importing torch, so that stored scores are looked up without it.

    The engine ``auto`` is vLLM for verdicts on a GPU, where it is faster. The other columns need the one pass of the
    transformers engine, which gives the verdicts as well.

    Args:
        model: The model to run.
        checkpoint: Its files.
        engine: ``auto``, ``transformers`` or ``vllm``.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: Dtype for models that name none themselves.
        metrics: Which metrics will be computed.

    Raises:
        EngineError: The engine is ``vllm``, and it is not installed, or its version or the model is not supported.
    """
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    resolved_dtype = model.dtype if model.dtype != "auto" else dtype
    if resolved_dtype == "auto":
        # A CPU gains little from half precision, and float32 keeps the ambiguous band narrow.
        resolved_dtype = "float32" if device == "cpu" else checkpoint.dtype
    if engine == "auto":
        fits = metrics == "verdict" and device == "cuda" and not unfit_for_vllm(model, checkpoint)
        engine = "vllm" if fits and installed_vllm() in TESTED else "transformers"
    vllm_version = None
    if engine == "vllm":
        check_vllm()
        vllm_version = installed_vllm()
        if reason := unfit_for_vllm(model, checkpoint):
            raise EngineError(f"{reason}: use --kdmem-engine transformers.")
    return Numerics(engine, device, resolved_dtype, version("torch"), version("transformers"), vllm_version)


def unfit_for_vllm(model: Model, checkpoint: Checkpoint) -> str:
    """Return why vLLM may compute other scores of this model than transformers, or an empty string if it does not."""
    if checkpoint.architecture not in SUPPORTED_ARCHITECTURES:
        return (
            f"A model of {', '.join(sorted(SUPPORTED_ARCHITECTURES))} was expected by the vllm engine, which was tested"
            f" with these; found {checkpoint.architecture} in {model.source}"
        )
    if checkpoint.quantized:
        return (
            "A model that is not quantized was expected by the vllm engine, whose kernels for quantized models were not"
            f" tested; found {model.source}"
        )
    if setting := uncompared_setting(checkpoint.architecture, checkpoint.config):
        return (
            "A configuration on which both engines were compared was expected by the vllm engine, which may read others"
            f" differently; that of {model.source} has {setting}"
        )
    if model.trust_remote_code:
        return (
            "A model without code of its own was expected by the vllm engine, which runs none; trust_remote_code is"
            f" set for {model.source}"
        )
    return ""


def installed_engines() -> tuple[str, ...]:
    """Names of the engines that can run in this environment."""
    return tuple(name for name in ENGINES[1:] if name == "transformers" or installed_vllm() in TESTED)


def has_gpu() -> bool:
    """Whether torch will find an NVIDIA GPU, judged by the driver's files and the version of the torch wheel."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and "+cpu" not in version("torch") and NVIDIA_DRIVER.exists()
