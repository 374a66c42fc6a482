"""Attention heads of a width for which vLLM has no kernel on a CPU, as those of small models: padded with zeros.

A zero adds nothing to a product of query and key, and values so padded come out padded; scores are scaled as before,
as a layer is told its scale.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import pad


def kernel_width(width: int) -> int | None:
    """The least width of vLLM's CPU kernels that holds a head; None if none does."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    return min((wide for wide in CPUAttentionBackend.get_supported_head_sizes() if wide >= width), default=None)


def pad_heads(width: int, wide: int) -> None:
    """From here on in this process, vLLM's attention layers hold heads of ``wide`` for those of ``width``."""
    from vllm.model_executor.layers.attention import Attention

    make, attend = Attention.__init__, Attention.forward

    def make_wide(layer: Any, num_heads: int, head_size: int, scale: float, *more: Any, **settings: Any) -> None:
        if head_size != width:
            raise ValueError(f"heads of width {width} were expected in every layer, and one has {head_size}")
        make(layer, num_heads, wide, scale, *more, **settings)

    def attend_wide(layer: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        tokens = query.shape[0]
        padded = (pad(one.reshape(-1, width), (0, wide - width)).view(tokens, -1) for one in (query, key, value))
        attended: Tensor = attend(layer, *padded)
        return attended.view(-1, wide)[:, :width].reshape(tokens, -1)

    Attention.__init__, Attention.forward = make_wide, attend_wide
