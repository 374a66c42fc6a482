"""Counts the parameters that quantized weights stand for: their codes, however packed, without scales and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from pytest_kdmem.specs.quantization import quantization_settings, quantized_types
from pytest_kdmem.specs.safetensors_header import TensorEntry, read_entries

# Ends of the names of tensors that hold the codes of a weight, by whatever library.
CODES = re.compile(r"\.(weight|weight_packed|qweight|_weight_qdata)$")
CODE_DTYPES = ("I8", "U8", "I32", "F8_E4M3", "F8_E5M2")
# Codes of four bits that lie in pairs, with their scales beside them, as MXFP4 is stored.
BLOCKS, SCALES = "_blocks", "_scales"
# What bitsandbytes stores beside codes of four bits, whichever dtype these are stored as.
OF_FOUR_BITS = ".weight.quant_state.bitsandbytes__"
# What a quantized layer has beside the codes and what describes them.
BIAS = "bias"


def count_parameters(files: Sequence[Path], config: Mapping[str, Any]) -> int:
    """The number of parameters that the weights in files stand for.

    Args:
        files: Files of a quantized model.
        config: Its configuration.

    Raises:
        SpecError: A file is no safetensors file, or damaged.
    """
    settings = quantization_settings(config)
    settings = settings if isinstance(settings, dict) else {}
    entries = {entry.name: (path, entry) for path in files for entry in read_entries(path)}
    of_four_bits = {name.partition(OF_FOUR_BITS)[0] for name in entries if OF_FOUR_BITS in name}
    layers = of_four_bits | {
        name[: codes.start()]
        for name, (_, entry) in entries.items()
        if entry.dtype in CODE_DTYPES and (codes := CODES.search(name))
    }
    counted = 0
    for name, (_, entry) in entries.items():
        layer = next((prefix for prefix in _prefixes(name) if prefix in layers), None)
        is_blocks = name.endswith(BLOCKS) and name.replace(BLOCKS, SCALES) in entries
        is_scale = name.endswith(SCALES) and name.replace(SCALES, BLOCKS) in entries
        if is_blocks or (layer is not None and CODES.search(name)):
            shape = entries.get(f"{layer}.weight_shape")
            counted += prod(_numbers(*shape)) if shape else _codes(entry, settings, layer in of_four_bits or is_blocks)
        elif name == f"{layer}.{BIAS}" or (layer is None and not is_scale):
            counted += prod(entry.shape)
    return counted


def _prefixes(name: str) -> Iterator[str]:
    """The names of all modules that a tensor lies in."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def _codes(entry: TensorEntry, settings: Mapping[str, Any], are_pairs: bool) -> int:
    """The number of codes in a tensor; ``are_pairs`` of codes that are known to have four bits."""
    bits = settings.get("bits", settings.get("w_bit"))
    if entry.name.endswith(".qweight") and isinstance(bits, int) and bits > 0:
        return _bytes(entry) * 8 // bits
    are_pairs = are_pairs or entry.name.endswith(".weight_packed")
    if are_pairs or any(name.startswith("Int4") for name in quantized_types(settings)):
        return 2 * _bytes(entry)
    return prod(entry.shape)


def _bytes(entry: TensorEntry) -> int:
    return entry.end - entry.begin


def _numbers(path: Path, entry: TensorEntry) -> list[int]:
    """The whole numbers of a small tensor of type I64."""
    with path.open("rb") as file:
        file.seek(entry.begin)
        content = file.read(_bytes(entry))
    return [int.from_bytes(content[at : at + 8], "little") for at in range(0, len(content), 8)]
