"""Find out whether two model folders hold the same weights, in whatever files, names and dtypes these are stored.

A copy that was saved in another dtype has another digest, and answers like the original. Values are compared up to the
rounding of the coarsest dtype. Training moves some values by more than that, however short it is, since small values
are rounded finely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.quantized_values import EIGHT_BITS, decode, rounds_to
from pytest_kdmem.specs.weights import TensorEntry, read_entries, weight_files

# Modules that hold the parts of a model in some classes and not in others.
WRAPPERS = ("_orig_mod", "module", "base_model", "model", "transformer", "language_model", "gpt_neox", "backbone")
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"} | EIGHT_BITS
# Values are compared in so many places of a tensor, so many in a row; in more places where rows are shorter.
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
        if self.entry.dtype in EIGHT_BITS:
            return decode(stored, self.entry.dtype)
        if self.entry.dtype == "BF16":  # the upper half of a float32
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64)


def are_copies(first: Checkpoint, second: Checkpoint) -> bool:
    """Return whether two models hold the same weights, up to the rounding of their dtypes.

    Adapters are compared with each other if their bases are copies; an adapter is not compared with a whole model, and
    a GGUF file with nothing.

    Raises:
        SpecError: A folder no longer holds the weights that were digested.
    """
    if first.gguf is not None or second.gguf is not None:
        return False
    if not hold_same_weights(weight_files(first.weights_folder), weight_files(second.weights_folder)):
        return False
    adapters = (first.adapter(), second.adapter())
    if adapters[0] is None or adapters[1] is None:
        return adapters[0] is adapters[1]
    if adapters[0].settings != adapters[1].settings:
        return False
    return hold_same_weights([adapters[0].weight_file], [adapters[1].weight_file])


def hold_same_weights(first: Sequence[Path], second: Sequence[Path]) -> bool:
    """Return whether the files of two models hold the same weights, up to the rounding of their dtypes.

    Tensors that only one of them has, as a tied head or a buffer, and further rows of a vocabulary do not count.
    Weights of eight bits are compared whatever their scales; those of fewer bits are not compared.

    Raises:
        SpecError: A file is no safetensors file, or damaged.
    """
    tensors, others = _stored_tensors(first), _stored_tensors(second)
    shared = sorted(tensors.keys() & others.keys())
    compared = sum(min(tensors[name].size, others[name].size) for name in shared)
    if 2 * compared < max(sum(tensor.size for tensor in side.values()) for side in (tensors, others)):
        return False
    return bool(shared) and all(_agree(tensors[name], others[name]) for name in shared)


def _stored_tensors(files: Sequence[Path]) -> dict[str, _StoredTensor]:
    """The tensors in files that can be compared, by their names without wrappers."""
    return {
        _plain_name(entry.name): _StoredTensor(path, entry)
        for path in files
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
    places = _places(min(tensor.size, other.size), tensor.entry.shape[-1] if tensor.entry.shape else 1)
    pairs = ((tensor.values(begin, end), other.values(begin, end)) for begin, end in places)
    for quantized, is_second in ((tensor, False), (other, True)):
        if quantized.entry.dtype in EIGHT_BITS:
            sides = (pair if is_second else pair[::-1] for pair in pairs)
            return all(rounds_to(values, rounded, quantized.entry.dtype) for values, rounded in sides)
    return all(np.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True) for first, second in pairs)


def _places(size: int, row: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the places in which tensors are compared, each in one row, as a scale may be that of a row."""
    length = max(1, min(VALUES_IN_PLACE, row))
    in_row = -(-row // length)
    pieces = size // row * in_row
    count = min(pieces, PLACES * VALUES_IN_PLACE // length)
    for piece in np.unique(np.linspace(0, pieces - 1, count).astype(np.int64)).tolist():
        begin = piece // in_row * row + piece % in_row * length
        yield begin, min(begin + length, (piece // in_row + 1) * row)
