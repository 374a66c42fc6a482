"""One set of weights that computes in several dtypes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from pytest_kdmem.engines.transformers.precision import (
    CastingModel,
    exact_products,
    hold_compactly,
    outermost_layers,
)
from tests.conftest import FAMILIES

IDS = torch.arange(1, 41).reshape(2, 20)


def loaded(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@torch.inference_mode()
def logits(model: PreTrainedModel) -> Tensor:
    return model(input_ids=IDS, use_cache=False).logits


def half_checkpoint(folder: Path, target: Path) -> Path:
    """A copy whose weights are stored in bfloat16, but for the norms, which lose digits by it."""
    model = loaded(folder, torch.float32)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            weight.data = weight.data.to(torch.bfloat16).float()
        else:
            weight.data += 1e-4
    model.save_pretrained(target)
    return target


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cast_bytes", [None, 0], ids=["at once", "layer by layer"])
def test_weights_held_in_half_precision_compute_in_float32_as_if_they_were_loaded_so(
    make_model, tmp_path, family, cast_bytes
):
    folder = half_checkpoint(make_model(family), tmp_path / "half")
    expected = logits(loaded(folder, torch.float32))
    model = loaded(folder, torch.float32)
    hold_compactly(model, torch.bfloat16)
    dtypes = {name: weight.dtype for name, weight in model.named_parameters()}
    assert {dtype for name, dtype in dtypes.items() if "norm" not in name} == {torch.bfloat16}
    assert torch.float32 in dtypes.values()  # what would lose digits
    casting = CastingModel(model, cast_bytes=cast_bytes)
    for _ in range(2):
        with casting.computing_in(torch.float32):
            assert torch.equal(logits(model), expected)
            if cast_bytes == 0:
                held = {weight.dtype for layer in outermost_layers(model) for weight in layer.parameters()}
                assert torch.bfloat16 in held  # while no layer runs
        assert {name: weight.dtype for name, weight in model.named_parameters()} == dtypes


@pytest.mark.parametrize("cast_bytes", [None, 0], ids=["at once", "layer by layer"])
def test_float32_weights_are_screened_as_a_model_in_half_precision(tiny, cast_bytes):
    expected = logits(loaded(tiny, torch.bfloat16))
    casting = CastingModel(loaded(tiny, torch.float32), cast_bytes=cast_bytes)
    with casting.computing_in(torch.bfloat16):
        assert torch.equal(logits(casting.model), expected)
    assert casting.model.dtype == torch.float32


def test_weights_are_restored_after_an_error_inside_a_layer(tiny):
    casting = CastingModel(loaded(tiny, torch.float32), cast_bytes=0)
    layer = next(outermost_layers(casting.model))
    layer.forward = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError), casting.computing_in(torch.bfloat16):
        logits(casting.model)
    assert {weight.dtype for weight in casting.model.parameters()} == {torch.float32}


def test_weights_that_a_model_keeps_in_float32_stay_so(tiny):
    model = loaded(tiny, torch.float32)
    model._keep_in_fp32_modules = ["final_layer_norm"]
    with CastingModel(model).computing_in(torch.bfloat16):
        kept = {name for name, weight in model.named_parameters() if weight.dtype == torch.float32}
    assert kept == {"gpt_neox.final_layer_norm.weight", "gpt_neox.final_layer_norm.bias"}


def product_precisions() -> list[str]:
    """How torch computes products of float32 numbers on GPUs and CPUs."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        return [torch.get_float32_matmul_precision()]
    return [torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision]


def test_float32_has_all_its_digits_whatever_torch_is_set_to(tiny):
    before = torch.get_float32_matmul_precision()
    casting = CastingModel(loaded(tiny, torch.float32))
    torch.set_float32_matmul_precision("medium")
    shortened = product_precisions()
    try:
        with casting.computing_in(torch.float32):
            assert set(product_precisions()) <= {"ieee", "highest"}
        assert product_precisions() == shortened
        with pytest.raises(KeyError), exact_products():
            raise KeyError
        assert product_precisions() == shortened
    finally:
        torch.set_float32_matmul_precision(before)
