"""Everything but weights and token ids that scores depend on, resolved without importing a framework."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.engines.vllm.configurations import uncompared_setting
from pytest_kdmem.engines.vllm.versions import SUPPORTED_ARCHITECTURES, TESTED, check_vllm, installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.runtime import ENGINES, RunSettings

# Exists if the NVIDIA driver is loaded.
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
PROCESSOR = Path("/proc/cpuinfo")
# Units that multiply bfloat16 numbers at a multiple of the rate of float32, as Linux names them.
BFLOAT16_UNITS = frozenset({"amx_bf16", "avx512_bf16"})
HALF_DTYPES = ("bfloat16", "float16")
# Parameters from which matrix products take most of a CPU's time. Smaller models gain nothing from faster ones.
SCREENED_PARAMETERS = 50_000_000


@dataclass(frozen=True)
class Numerics:
    """Engine, device, dtype and versions of the frameworks.

    Attributes:
        engine: Engine that scores every example.
        device: Device that it runs on.
        dtype: Dtype that decides verdicts.
        torch: Version of torch.
        transformers: Version of transformers.
        vllm: Version of vLLM; None unless it is the engine.
        quantization: Packages that load quantized weights, and whether these are dequantized; None of plain weights.
        screen: Dtype that scores every example before ``dtype`` decides those near zero; None if ``dtype`` scores all.
    """

    engine: str
    device: str
    dtype: str
    torch: str
    transformers: str
    vllm: str | None = None
    screen: str | None = None
    quantization: str | None = None

    @property
    def digest(self) -> str:
        return digest_of({name: value for name, value in asdict(self).items() if value is not None})


def resolve_numerics(
    model: Model,
    checkpoint: Checkpoint,
    *,
    engine: str,
    device: str,
    dtype: str,
    metrics: Metrics,
    screen_dtype: str = "auto",
    tensor_parallel: int = 1,
) -> Numerics:
    """Resolve ``auto`` settings without importing torch, so that stored scores are looked up without it.

    A dtype that the model or the settings name is the only one. Otherwise float32 decides, so that no verdict depends
    on the machine, and half precision screens where it is faster. Models that the kernels of another library run, and
    those that share several GPUs, run in one dtype.

    The engine ``auto`` is vLLM for verdicts on a GPU, where it is faster. The other columns need the one pass of the
    transformers engine, which gives the verdicts as well.

    Args:
        model: The model to run.
        checkpoint: Its files.
        engine: ``auto``, ``transformers`` or ``vllm``.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: Dtype for models that name none themselves.
        metrics: Which metrics will be computed.
        screen_dtype: Dtype of the screening where neither the model nor ``dtype`` names one; ``none`` for no screening.
        tensor_parallel: Number of GPUs that share the model, which runs in one dtype only on several.

    Raises:
        EngineError: The engine is ``vllm``, and it is not installed, or its version or the model is not supported; or
            the weights are quantized by a method that does not run here.
    """
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    named_dtype = model.dtype if model.dtype != "auto" else dtype
    is_plain = checkpoint.quantization is None or checkpoint.quantization.is_dequantized
    runs_in_two = named_dtype == "auto" and is_plain and tensor_parallel == 1
    screen = _screen_dtype(checkpoint, device, screen_dtype) if runs_in_two else None
    if named_dtype == "auto":
        named_dtype = "float32" if runs_in_two or device == "cpu" else checkpoint.dtype
    if engine == "auto":
        fits = metrics == "verdict" and device == "cuda" and not unfit_for_vllm(model, checkpoint)
        engine = "vllm" if fits and installed_vllm() in TESTED else "transformers"
    vllm_version = None
    if engine == "vllm":
        check_vllm()
        vllm_version = installed_vllm()
        if reason := unfit_for_vllm(model, checkpoint):
            raise EngineError(f"{reason}: use --kdmem-engine transformers.")
    quantization = None if checkpoint.quantization is None else quantization_here(checkpoint, device)
    torch_version, transformers_version = map(installed_version, ("torch", "transformers"))
    return Numerics(
        engine, device, named_dtype, torch_version, transformers_version, vllm_version, screen, quantization
    )


def quantization_here(checkpoint: Checkpoint, device: str) -> str:
    """Method of quantized weights, the versions of its packages, and whether they are dequantized.

    Raises:
        EngineError: Its kernels need a GPU and the device is none, or a package that it needs is not installed.
    """
    quantization = checkpoint.quantization
    assert quantization is not None
    if quantization.needs_gpu and device == "cpu":
        raise EngineError(
            f"A GPU was expected for the model in {checkpoint.folder}, as the kernels of {quantization.method} run on"
            " no CPU; audit it on a machine with a GPU, or audit the model before it was quantized."
        )
    try:
        versions = [f"{package} {installed_version(package)}" for package in quantization.packages]
    except PackageNotFoundError as error:
        raise EngineError(
            f"The package {error.name} was expected to load the model in {checkpoint.folder}, which is quantized by"
            f" {quantization.method}, and it is not installed: pip install {' '.join(quantization.packages)}."
        ) from error
    way = "dequantized" if quantization.is_dequantized else "by its own kernels"
    return f"{', '.join(versions) or quantization.method}, {way}"


def _screen_dtype(checkpoint: Checkpoint, device: str, screen_dtype: str) -> str | None:
    """The dtype that screens a model which float32 decides; None where that would be no faster."""
    if screen_dtype != "auto":
        return None if screen_dtype == "none" else screen_dtype
    if device == "cuda":
        return checkpoint.dtype if checkpoint.dtype in HALF_DTYPES else "bfloat16"
    return "bfloat16" if checkpoint.parameters >= SCREENED_PARAMETERS and has_bfloat16_units() else None


def numerics_of_run(model: Model, checkpoint: Checkpoint, settings: RunSettings, metrics: Metrics) -> Numerics:
    """`resolve_numerics` by the settings of a run."""
    return resolve_numerics(
        model,
        checkpoint,
        engine=settings.engine,
        device=settings.device,
        dtype=settings.dtype,
        metrics=metrics,
        screen_dtype=settings.screen_dtype,
        tensor_parallel=settings.tensor_parallel,
    )


def unfit_for_vllm(model: Model, checkpoint: Checkpoint) -> str:
    """Return why vLLM may compute other scores of this model than transformers, or an empty string if it does not."""
    if checkpoint.architecture not in SUPPORTED_ARCHITECTURES:
        return (
            f"A model of {', '.join(sorted(SUPPORTED_ARCHITECTURES))} was expected by the vllm engine, which was tested"
            f" with these; found {checkpoint.architecture} in {model.source}"
        )
    if checkpoint.quantization is not None:
        return (
            "A model that is not quantized was expected by the vllm engine, whose kernels for quantized models were not"
            f" tested; {model.source} is quantized by {checkpoint.quantization.method}"
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
    return not hidden and "+cpu" not in installed_version("torch") and NVIDIA_DRIVER.exists()


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bfloat16 numbers at a multiple of the rate of float32, by what Linux says of it."""
    try:
        flags = next(line for line in PROCESSOR.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return not BFLOAT16_UNITS.isdisjoint(flags.split())
