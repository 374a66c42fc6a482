"""The projection from hidden states to logits against the models' own logits and autograd."""

from __future__ import annotations

import pytest
import torch

from pytest_kdmem.distill.projection import Projection, computing_dtype
from pytest_kdmem.engines.transformers.head import StandardHead


@pytest.mark.parametrize("kind", ["neox", "qwen3", "cohere", "gemma2", "gptj"])
def test_logits_are_those_of_the_model(toy, kind):
    model = toy(kind, seed=1)
    ids = torch.arange(1, 12)[None]
    head = StandardHead(model)
    projection = Projection(head.linear.weight, head.linear.bias, head.scale, head.soft_cap)
    with torch.no_grad():
        hidden = head.backbone(ids)[0]
        logits = projection.logits(projection.products(hidden, projection.buffer(len(hidden))))
        torch.testing.assert_close(logits, model(input_ids=ids).logits[0])
    assert logits.dtype == torch.float32


def test_the_slope_of_the_soft_cap_is_its_derivative():
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(4, 8, generator=generator), torch.randn(17, 8, generator=generator)
    products = hidden @ weight.T
    uncapped = products.clone().requires_grad_(True)
    (3.0 * torch.tanh(uncapped / 3.0)).sum().backward()
    projection = Projection(weight, None, 1.0, 3.0)
    torch.testing.assert_close(projection.soft_cap_slope(projection.logits(products)), uncapped.grad)


def test_there_is_no_slope_without_a_soft_cap():
    assert Projection(torch.ones(3, 2), None, 1.0, None).soft_cap_slope(torch.ones(1, 3)) is None


def test_matrices_are_multiplied_in_the_dtype_of_autocast_or_of_the_weight():
    weight = torch.ones(2, 2, dtype=torch.float64)
    assert computing_dtype(weight) == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert computing_dtype(weight) == torch.bfloat16
