"""Hidden states → float32 logits, as a model's own head computes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Projection:
    """The last step of a model: ``soft_cap · tanh(scale · (hidden · weightᵀ + bias) / soft_cap)``.

    Products are made for a whole chunk at once, because matrices multiply best when they are large. Logits are made of
    few products at a time, while these lie in the processor's cache.

    Args:
        weight: ``[vocabulary, width]``, in the dtype of the multiplication.
        bias: ``[vocabulary]``, or None.
        scale: Factor of the logits; 1 for most models.
        soft_cap: Bound of the logits; None for models that do not bound them.
    """

    weight: Tensor
    bias: Tensor | None
    scale: float
    soft_cap: float | None

    def first(self, vocabulary: int) -> Projection:
        """The projection to the first ``vocabulary`` token ids."""
        bias = None if self.bias is None else self.bias[:vocabulary]
        return Projection(self.weight[:vocabulary], bias, self.scale, self.soft_cap)

    def buffer(self, positions: int) -> Tensor:
        """Uninitialised memory for the products of so many positions, ``[positions, vocabulary]``."""
        return self.weight.new_empty(positions, len(self.weight))

    def products(self, hidden: Tensor, buffer: Tensor) -> Tensor:
        """``hidden · weightᵀ + bias`` ``[m, vocabulary]`` in the first m lines of a buffer.

        Args:
            hidden: ``[m, width]``, in the dtype of the weight.
            buffer: Memory for at least m positions, which is overwritten.
        """
        out = buffer[: len(hidden)]
        if self.bias is None:
            return torch.mm(hidden, self.weight.T, out=out)
        return torch.addmm(self.bias, hidden, self.weight.T, out=out)

    def logits(self, products: Tensor) -> Tensor:
        """Float32 logits of the same shape; they may share the memory of the products."""
        logits = products.float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return (logits / self.soft_cap).tanh() * self.soft_cap if self.soft_cap else logits

    def soft_cap_slope(self, logits: Tensor) -> Tensor | None:
        """Derivative of the soft cap at ``logits``, a new tensor; None without a soft cap."""
        return 1 - (logits / self.soft_cap).square_() if self.soft_cap else None


def computing_dtype(weight: Tensor) -> torch.dtype:
    """The dtype in which matrices are multiplied: that of autocast if it is on, otherwise that of the weight."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
