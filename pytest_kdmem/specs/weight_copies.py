"""Find out whether two model folders hold the same weights, in whatever files, names and dtypes these are stored.

A copy that was saved in another dtype has another digest, and answers like the original. Values are compared up to the
rounding of the coarsest dtype. Training moves some values by more than that, however short it is, since small values
are rounded finely.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_kdmem.specs.weights import TensorEntry, read_entries, weight_files

# Modules that hold the parts of a model in some classes and not in others.
WRAPPERS = ("_orig_mod", "module", "base_model", "model", "transformer", "language_model", "gpt_neox", "backbone")
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Values are compared in so many places of a tensor, so many in a row.
PLACES, VALUES_IN_PLACE = 16, 64
# bfloat16 keeps 8 bits, and may cut the others off; below the second limit float16 has no numbers.
RELATIVE, ABSOLUTE = 2.0**-7, 2.0**-24

Values = npt.NDArray[np.float64]


class _StoredTensor(NamedTuple):
    path: Path
    entry: TensorEntry

    @property
    def size(self) -> int:
        return prod(self.entry.shape)

    def values(self, begin: int, end: int) -> Values:
        """The values at these places of the flattened tensor, as float64."""
        dtype = np.dtype(DTYPES[self.entry.dtype])
        with self.path.open("rb") as file:
            file.seek(self.entry.begin + begin * dtype.itemsize)
            stored = np.frombuffer(file.read((end - begin) * dtype.itemsize), dtype)
        if self.entry.dtype == "BF16":  # the upper half of a float32
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64)


def hold_same_weights(first: Path, second: Path) -> bool:
    """Return whether two model folders hold the same weights, up to the rounding of their dtypes.

    Tensors that only one of them has, as a tied head or a buffer, and further rows of a vocabulary do not count.
    Weights that are quantized to whole numbers are not compared.

    Raises:
        SpecError: A folder has no safetensors weights, or they are damaged.
    """
    tensors, others = _float_tensors(first), _float_tensors(second)
    shared = sorted(tensors.keys() & others.keys())
    compared = sum(min(tensors[name].size, others[name].size) for name in shared)
    if 2 * compared < max(sum(tensor.size for tensor in side.values()) for side in (tensors, others)):
        return False
    return bool(shared) and all(_agree(tensors[name], others[name]) for name in shared)


def _float_tensors(folder: Path) -> dict[str, _StoredTensor]:
    """The tensors of floating-point numbers of a folder, by their names without wrappers."""
    return {
        _plain_name(entry.name): _StoredTensor(path, entry)
        for path in weight_files(folder)
        for entry in read_entries(path)
        if entry.dtype in DTYPES
    }


def _plain_name(name: str) -> str:
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in WRAPPERS:
        parts = parts[1:]
    return ".".join(parts)


def _agree(tensor: _StoredTensor, other: _StoredTensor) -> bool:
    """Whether the values of two tensors agree in the rows that both have."""
    if tensor.entry.shape[1:] != other.entry.shape[1:]:
        return False
    size = min(tensor.size, other.size)
    return all(
        np.allclose(tensor.values(begin, end), other.values(begin, end), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        for begin, end in _places(size)
    )


def _places(size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the places in which tensors of this size are compared."""
    if size <= PLACES * VALUES_IN_PLACE:
        yield 0, size
        return
    step = (size - VALUES_IN_PLACE) // (PLACES - 1)
    for begin in islice(range(0, size, step), PLACES):
        yield begin, min(begin + VALUES_IN_PLACE, size)
