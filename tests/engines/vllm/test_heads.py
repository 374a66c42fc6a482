"""Padded attention heads give what the unpadded ones would: width by width, against attention by torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from pytest_kdmem.engines.vllm.heads import kernel_width, pad_heads
from pytest_kdmem.engines.vllm.versions import TESTED, installed_vllm

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(installed_vllm() not in TESTED, reason=f"vLLM {TESTED[0]} is not installed"),
]


def test_the_least_width_of_a_kernel_that_holds_a_head_is_taken():
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    widths = CPUAttentionBackend.get_supported_head_sizes()
    assert kernel_width(1) == min(widths)
    assert all(kernel_width(width) == width for width in widths)
    assert kernel_width(max(widths) + 1) is None


def test_attention_over_padded_heads_is_that_over_the_heads_themselves(monkeypatch):
    from vllm.model_executor.layers.attention import Attention

    tokens, heads, width, padded_width = 5, 3, 8, 32
    scale = width**-0.5
    widths = []

    def init(layer, num_heads, head_size, scale):
        widths.append(head_size)
        layer.head_size, layer.scale = head_size, scale

    def forward(layer, query, key, value):
        """Attention by torch, in place of vLLM's kernel."""
        by_head = (states.view(tokens, heads, layer.head_size).transpose(0, 1) for states in (query, key, value))
        attended = scaled_dot_product_attention(*by_head, is_causal=True, scale=layer.scale)
        return attended.transpose(0, 1).reshape(tokens, -1)

    # vLLM's own functions, which `pad_heads` wraps; monkeypatch restores them.
    monkeypatch.setattr(Attention, "__init__", init)
    monkeypatch.setattr(Attention, "forward", forward)
    states = [torch.randn((tokens, heads * width), generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    plain = Attention.__new__(Attention)
    torch.nn.Module.__init__(plain)
    init(plain, heads, width, scale)
    expected = forward(plain, *states)
    pad_heads(width, padded_width)
    layer = Attention.__new__(Attention)
    torch.nn.Module.__init__(layer)
    Attention.__init__(layer, heads, width, scale)
    assert widths == [width, padded_width]
    torch.testing.assert_close(Attention.forward(layer, *states), expected)
    with pytest.raises(ValueError, match="heads of width 8 were expected in every layer, and one has 16"):
        Attention.__init__(layer, heads, 16, scale)
