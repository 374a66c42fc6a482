"""The values of a base's tensors with an adapter (LoRA) merged into them, computed only where they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from pytest_kdmem.specs.adapter import Adapter
from pytest_kdmem.specs.quantized_values import EIGHT_BITS
from pytest_kdmem.specs.stored_values import StoredTensor, Values, stored_tensors

# The two factors of what is added, in layers and in embeddings; a base's weight is named as the layer.
EMBEDDING_FACTOR = ".lora_embedding_A"
FACTORS = ((".lora_A.weight", ".lora_B.weight"), (EMBEDDING_FACTOR, ".lora_embedding_B"))
# Settings by which something else is added than the product of the factors and one scale.
OTHER_SUMS = ("use_dora", "alpha_pattern", "lora_bias", "use_qalora", "layer_replication", "target_parameters")


@dataclass(frozen=True)
class MergedTensor:
    """A tensor of a base, to which the product of two factors is added.

    Attributes:
        base: The tensor.
        left: First factor ``[rows, rank]``, with the scale.
        right: Second factor ``[rank, columns]``.
    """

    base: StoredTensor
    left: Values
    right: Values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def size(self) -> int:
        return self.base.size

    @property
    def dtype(self) -> str:
        return self.base.dtype

    def values(self, begin: int, end: int) -> Values:
        """The values at these places of the flattened tensor, all of one row, as float64."""
        return self.base.values(begin, end) + self.added(begin, end)

    def added(self, begin: int, end: int) -> Values:
        """What the adapter adds there."""
        columns = self.shape[1]
        row, first = divmod(begin, columns)
        product: Values = self.left[row] @ self.right[:, first : first + end - begin]
        return product


def merged_tensors(base: Mapping[str, StoredTensor], adapter: Adapter) -> dict[str, StoredTensor | MergedTensor] | None:
    """The tensors of a base with an adapter merged into them, by the names of `stored_tensors`.

    Returns:
        None if the adapter is another than LoRA, or adds something else than the product of two factors, or if
        something in it has no place in the base.

    Raises:
        SpecError: The adapter's weights are damaged.
    """
    settings = adapter.settings
    if settings.get("peft_type") != "LORA" or any(settings.get(name) for name in OTHER_SUMS):
        return None
    own, merged = stored_tensors([adapter.weight_file]), dict[str, StoredTensor | MergedTensor](base)
    for first, second in FACTORS:
        for name in [name for name in own if name.endswith(first)]:
            layer = name.removesuffix(first)
            factors, target = (own.pop(name), own.pop(layer + second, None)), base.get(f"{layer}.weight")
            if target is None or factors[1] is None or target.dtype in EIGHT_BITS or len(target.shape) != 2:
                return None
            is_transposed = first == EMBEDDING_FACTOR or bool(settings.get("fan_in_fan_out"))
            merged[f"{layer}.weight"] = _merged(target, factors[0], factors[1], settings, is_transposed=is_transposed)
    for name, tensor in own.items():  # what is saved as a whole
        target = base.get(place := name.replace(".base_layer.", "."))
        if target is None or target.shape[1:] != tensor.shape[1:]:
            return None
        merged[place] = tensor
    return merged


def _merged(
    target: StoredTensor,
    first: StoredTensor,
    second: StoredTensor,
    settings: Mapping[str, Any],
    *,
    is_transposed: bool,
) -> MergedTensor:
    """A tensor with the product of two factors, ``[rank, inputs]`` and ``[outputs, rank]``, added to it."""
    down, up = (tensor.values(0, tensor.size).reshape(tensor.shape) for tensor in (first, second))
    rank = down.shape[0]
    scale = settings.get("lora_alpha", 8) / (sqrt(rank) if settings.get("use_rslora") else rank)
    left, right = (down.T, up.T) if is_transposed else (up, down)
    return MergedTensor(target, left * scale, right)
