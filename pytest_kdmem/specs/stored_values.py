"""The values of tensors in safetensors files, read only where they are looked at, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_kdmem.specs.quantized_values import EIGHT_BITS, decode
from pytest_kdmem.specs.safetensors_header import TensorEntry, read_entries

# Modules that hold the parts of a model in some classes and not in others.
WRAPPERS = ("_orig_mod", "module", "base_model", "model", "transformer", "language_model", "gpt_neox", "backbone")
# The end of the name of a weight that torchao rounded.
TORCHAO_WEIGHT = "._weight_qdata"
# Names in files of older versions of transformers, and the names of the same parts in its classes.
RENAMED = {"embed_out.weight": "lm_head.weight"}
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"} | EIGHT_BITS

Values = npt.NDArray[np.float64]


class StoredTensor(NamedTuple):
    """A tensor in a file."""

    path: Path
    entry: TensorEntry

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.entry.shape)

    @property
    def dtype(self) -> str:
        """Dtype as safetensors names it."""
        return self.entry.dtype

    @property
    def size(self) -> int:
        return prod(self.shape)

    def values(self, begin: int, end: int) -> Values:
        """The values at these places of the flattened tensor, as float64."""
        dtype = np.dtype(DTYPES[self.dtype])
        with self.path.open("rb") as file:
            file.seek(self.entry.begin + begin * dtype.itemsize)
            stored = np.frombuffer(file.read((end - begin) * dtype.itemsize), dtype)
        if self.dtype in EIGHT_BITS:
            return decode(stored, self.dtype)
        if self.dtype == "BF16":  # the upper half of a float32
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64)

    def added(self, begin: int, end: int) -> Values:
        """Zeros: nothing is added to what is stored, as is to a `MergedTensor`."""
        return np.zeros(end - begin)


def stored_tensors(files: Sequence[Path]) -> dict[str, StoredTensor]:
    """The tensors in files that can be compared, by their names without wrappers."""
    return {
        plain_name(entry.name): StoredTensor(path, entry)
        for path in files
        for entry in read_entries(path)
        if entry.dtype in DTYPES
    }


def plain_name(name: str) -> str:
    """A tensor's name without wrappers."""
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in WRAPPERS:
        parts = parts[1:]
    name = ".".join(parts).replace(TORCHAO_WEIGHT, ".weight")
    return RENAMED.get(name, name)
