"""Reads what a checkpoint says of its quantization: the method, its packages, and whether weights alone are rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

KEY = "quantization_config"
MODELOPT_FILE = "hf_quant_config.json"
GGUF = "gguf"
# Packages beyond those of this one that transformers needs for a method, as pip names them.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torchao": ("torchao",),
    "compressed-tensors": ("compressed-tensors",),
    "bitsandbytes": ("bitsandbytes",),
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
    "aqlm": ("aqlm",),
    "auto-round": ("auto-round",),
    "eetq": ("kernels",),
    "fouroversix": ("fouroversix",),
    "fp_quant": ("fp_quant",),
    "higgs": ("flute-kernel", "fast_hadamard_transform"),
    "hqq": ("hqq",),
    "quanto": ("optimum-quanto",),
    "quark": ("amd-quark",),
    "sinq": ("sinq",),
    "spqr": ("spqr_quant",),
    "vptq": ("vptq",),
    GGUF: ("gguf",),
}
# Methods whose kernels run on no CPU.
GPU_METHODS = frozenset({"eetq", "fbgemm_fp8", "fp_quant", "higgs", "spqr", "vptq"})
# Methods that transformers itself dequantizes while it loads, if it is told to.
DEQUANTIZED_WHILE_LOADING = frozenset({"compressed-tensors", "fp8", "mxfp8", "mxfp4", "metal", GGUF})
# Methods whose weights are dequantized by their library once they are loaded.
DEQUANTIZED_ONCE_LOADED = frozenset({"torchao", "bitsandbytes"})


@dataclass(frozen=True)
class Quantization:
    """How the weights of a checkpoint are quantized.

    Attributes:
        method: Name of the method, as transformers registers it.
        rounds_inputs: Whether the inputs of layers are rounded as well, while the model runs.
    """

    method: str
    rounds_inputs: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that transformers needs to load it, as pip names them."""
        return PACKAGES.get(self.method, ())

    @property
    def needs_gpu(self) -> bool:
        return self.method in GPU_METHODS

    @property
    def is_dequantized(self) -> bool:
        """Whether verdicts are those of the dequantized weights, and not of the kernels of its library.

        Where inputs are rounded too, dequantized weights are another model, unless the library goes on rounding inputs
        of dequantized layers.
        """
        if self.method in DEQUANTIZED_ONCE_LOADED:
            return not self.rounds_inputs
        return self.method in DEQUANTIZED_WHILE_LOADING


def notes_on(quantization: Quantization | None) -> tuple[str, ...]:
    """What a reader of verdicts must know; empty if they are those of weights alone."""
    if quantization is None:
        return ()
    method = quantization.method
    if not quantization.is_dequantized:
        reason = "the inputs of its layers are rounded too" if quantization.rounds_inputs else "it is not dequantized"
        return (
            f"verdicts are those of the kernels of {method} on this device, as {reason}; another device or version may"
            " give others",
        )
    if quantization.rounds_inputs and method != "compressed-tensors":
        return (
            f"verdicts are those of dequantized weights, and the kernels of {method} round inputs of layers as well",
        )
    return ()


def quantization_settings(config: Mapping[str, Any]) -> Any:
    """The settings of a quantization as they stand in a configuration; None if it has none."""
    inner = config.get("text_config")
    return config.get(KEY) or (inner.get(KEY) if isinstance(inner, dict) else None)


def read_quantization(config: Mapping[str, Any], folder: Path) -> Quantization | None:
    """Read how a checkpoint is quantized; None of one that is not.

    Args:
        config: Its configuration.
        folder: Its folder.

    Raises:
        SpecError: The configuration names no method.
    """
    settings = quantization_settings(config)
    if settings is None:
        return Quantization("modelopt") if (folder / MODELOPT_FILE).is_file() else None
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    if isinstance(settings, dict) and (settings.get("load_in_8bit") or settings.get("load_in_4bit")):
        method = "bitsandbytes"
    if not isinstance(method, str) or not method:
        raise SpecError(
            f"A method was expected as quant_method of {KEY} in {folder / 'config.json'}; found {quoted(method)}: save"
            " the model again with the library that quantized it."
        )
    return Quantization(method, _rounds_inputs(method, settings))


def _rounds_inputs(method: str, settings: Mapping[str, Any]) -> bool:
    """Whether the inputs of layers are rounded as well as their weights."""
    if method == "bitsandbytes":
        return bool(settings.get("load_in_8bit"))
    if method == "torchao":
        return any("Activation" in name for name in quantized_types(settings))
    if method == "compressed-tensors":
        groups = settings.get("config_groups")
        values = groups.values() if isinstance(groups, dict) else ()
        return any(isinstance(group, dict) and group.get("input_activations") is not None for group in values)
    return method in ("fp8", "mxfp8", "fbgemm_fp8")


def quantized_types(settings: Any) -> Iterator[str]:
    """Yield the names of the classes of torchao in settings and all that they hold."""
    if isinstance(settings, dict):
        if isinstance(name := settings.get("_type"), str):
            yield name
        for value in settings.values():
            yield from quantized_types(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from quantized_types(value)
