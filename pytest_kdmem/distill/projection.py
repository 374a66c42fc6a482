"""Hidden states → float32 logits, as a model's own head computes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear


@dataclass(frozen=True)
class Projection:
    """The last step of a model: ``soft_cap · tanh(scale · (hidden · weightᵀ + bias) / soft_cap)``.

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

    def logits(self, hidden: Tensor) -> Tensor:
        """``[m, width]`` → ``[m, vocabulary]`` float32."""
        logits = linear(hidden, self.weight, self.bias).float().mul_(self.scale)
        return logits.div_(self.soft_cap).tanh_().mul_(self.soft_cap) if self.soft_cap else logits

    def soft_cap_slope(self, logits: Tensor) -> Tensor | None:
        """Derivative of the soft cap at ``logits``, a new tensor; None without a soft cap."""
        return 1 - (logits / self.soft_cap).square_() if self.soft_cap else None


def computing_dtype(weight: Tensor) -> torch.dtype:
    """The dtype in which matrices are multiplied: that of autocast if it is on, otherwise that of the weight."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
