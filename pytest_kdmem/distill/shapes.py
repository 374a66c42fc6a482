"""Family and size of a model, as a plan names them; nothing is imported for them that could make the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["pythia", "olmo2", "qwen3"]


@dataclass(frozen=True)
class Size:
    """Shape of a model.

    Args:
        layers: Decoder layers.
        width: Hidden width.
        heads: Attention heads.
    """

    layers: int
    width: int
    heads: int
