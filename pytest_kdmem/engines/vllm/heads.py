"""Pads attention heads with zeros to a width for which vLLM has a CPU kernel, as small models need it.

A zero adds nothing to the product of query and key, and padded values give a padded result. The scores are scaled as
before, since a layer receives its scale as a setting.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import pad


def kernel_width(width: int) -> int | None:
    """The smallest head width of vLLM's CPU kernels that is at least ``width``; None if there is none."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    return min((wider for wider in CPUAttentionBackend.get_supported_head_sizes() if wider >= width), default=None)


def pad_heads(width: int, padded_width: int) -> None:
    """From now on in this process, pad the heads of vLLM's attention layers from ``width`` to ``padded_width``."""
    from vllm.model_executor.layers.attention import Attention

    original_init, original_forward = Attention.__init__, Attention.forward

    def padded_init(layer: Any, num_heads: int, head_size: int, scale: float, *args: Any, **settings: Any) -> None:
        if head_size != width:
            raise ValueError(f"heads of width {width} were expected in every layer, and one has {head_size}")
        original_init(layer, num_heads, padded_width, scale, *args, **settings)

    def padded_forward(layer: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        tokens = query.shape[0]
        padded = (
            pad(states.reshape(-1, width), (0, padded_width - width)).view(tokens, -1) for states in (query, key, value)
        )
        attended: Tensor = original_forward(layer, *padded)
        return attended.view(-1, padded_width)[:, :width].reshape(tokens, -1)

    Attention.__init__, Attention.forward = padded_init, padded_forward
