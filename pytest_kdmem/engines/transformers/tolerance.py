"""How far a margin can be off, given how far other ways to compute it move it."""

from __future__ import annotations

import math

import torch


def tolerance_of(change: float, highest_logit: float, dtype: torch.dtype) -> float:
    """Half the width of the band, in logits, in which a verdict is ambiguous.

    It is four times the largest change, rounded up to a power of two, and at least the spacing of the dtype's numbers
    at the highest logits: two ways to compute may happen to round alike, and logits are never known better than that.

    Args:
        change: Largest change of a margin that was seen, in logits.
        highest_logit: Largest absolute value of the highest logits.
        dtype: Dtype of the computation.
    """
    spacing = torch.finfo(dtype).eps * max(1.0, highest_logit)
    return float(2.0 ** math.ceil(math.log2(max(4 * change, spacing))))
