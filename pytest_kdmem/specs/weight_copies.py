"""Find out whether two model folders hold the same weights, in whatever files, names and dtypes these are stored.

A copy that was saved in another dtype has another digest, and answers like the original. Values are compared up to the
rounding of the coarsest dtype. Training moves some values by more than that, however short it is, since small values
are rounded finely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.merged_values import MergedTensor, merged_tensors
from pytest_kdmem.specs.quantized_values import EIGHT_BITS, rounds_to
from pytest_kdmem.specs.stored_values import StoredTensor, stored_tensors
from pytest_kdmem.specs.weights import weight_files

# Values are compared in so many places of a tensor, so many in a row; in more places where rows are shorter.
PLACES, VALUES_IN_PLACE = 16, 64
# bfloat16 keeps 8 bits, and may cut the others off; below the second limit float16 has no numbers.
RELATIVE, ABSOLUTE = 2.0**-7, 2.0**-24

Tensor = StoredTensor | MergedTensor


def are_copies(first: Checkpoint, second: Checkpoint) -> bool:
    """Return whether two models hold the same weights, up to the rounding of their dtypes.

    An adapter is compared as what it makes of its base, if that is a sum that can be computed here (`merged_tensors`),
    and else with another adapter alone. A GGUF file is compared with nothing.

    Raises:
        SpecError: A folder no longer holds the weights that were digested.
    """
    if first.gguf is not None or second.gguf is not None:
        return False
    if _are_copied_adapters(first, second):
        return True
    tensors, others = _tensors_of(first), _tensors_of(second)
    return tensors is not None and others is not None and _hold_same(tensors, others)


def _are_copied_adapters(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether two models are adapters with the same settings and weights, of bases that are copies."""
    adapters = (first.adapter(), second.adapter())
    if adapters[0] is None or adapters[1] is None or adapters[0].settings != adapters[1].settings:
        return False
    files = [[adapter.weight_file] for adapter in adapters if adapter]
    bases = [weight_files(model.weights_folder) for model in (first, second)]
    return all(_hold_same(*map(stored_tensors, pair)) for pair in (files, bases))


def _tensors_of(checkpoint: Checkpoint) -> Mapping[str, Tensor] | None:
    """The tensors of a model by their names; None if an adapter makes them in a way that is not computed here."""
    tensors = stored_tensors(weight_files(checkpoint.weights_folder))
    adapter = checkpoint.adapter()
    return tensors if adapter is None else merged_tensors(tensors, adapter)


def _hold_same(tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """Return whether two models hold the same weights, up to the rounding of their dtypes.

    Tensors that only one of them has, as a tied head or a buffer, and further rows of a vocabulary do not count.
    Weights of eight bits are compared whatever their scales; those of fewer bits are not compared.
    """
    shared = sorted(tensors.keys() & others.keys())
    compared = sum(min(tensors[name].size, others[name].size) for name in shared)
    if 2 * compared < max(sum(tensor.size for tensor in side.values()) for side in (tensors, others)):
        return False
    return bool(shared) and all(_agree(tensors[name], others[name]) for name in shared)


def _agree(tensor: Tensor, other: Tensor) -> bool:
    """Whether the values of two tensors agree in the rows that both have."""
    if tensor.shape[1:] != other.shape[1:]:
        return False
    places = _places(min(tensor.size, other.size), tensor.shape[-1] if tensor.shape else 1)
    for quantized, exact in ((tensor, other), (other, tensor)):
        if quantized.dtype in EIGHT_BITS:
            return all(rounds_to(exact.values(*at), quantized.values(*at), quantized.dtype) for at in places)
    return all(_agree_at(tensor, other, *place) for place in places)


def _agree_at(tensor: Tensor, other: Tensor, begin: int, end: int) -> bool:
    """Whether the values agree there. What an adapter adds may have been rounded before the sum was."""
    added = np.abs(tensor.added(begin, end)) + np.abs(other.added(begin, end))
    allowed = ABSOLUTE + RELATIVE * added
    return np.allclose(tensor.values(begin, end), other.values(begin, end), rtol=RELATIVE, atol=allowed, equal_nan=True)


def _places(size: int, row: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the places in which tensors are compared, each in one row, as a scale may be that of a row."""
    length = max(1, min(VALUES_IN_PLACE, row))
    in_row = -(-row // length)
    pieces = size // row * in_row
    count = min(pieces, PLACES * VALUES_IN_PLACE // length)
    for piece in np.unique(np.linspace(0, pieces - 1, count).astype(np.int64)).tolist():
        begin = piece // in_row * row + piece % in_row * length
        yield begin, min(begin + length, (piece // in_row + 1) * row)
