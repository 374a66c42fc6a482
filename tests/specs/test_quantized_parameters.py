"""A quantized model has the parameters of the model before: neither scales nor the way of packing count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pytest_kdmem.auditing.provenance import model_warnings
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.quantized_parameters import count_parameters
from tests.quantized_models import KINDS, train


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("models") / "full", steps=1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_library_stores_the_parameters_of_the_model_before(full: Path, tmp_path: Path, kind: str) -> None:
    KINDS[kind][0](full, tmp_path / "quantized")
    before, quantized = (open_checkpoint(Model(str(folder))) for folder in (full, tmp_path / "quantized"))
    assert quantized.parameters == before.parameters
    assert "parameters" not in "".join(model_warnings(quantized, before, quantized))


ROWS, COLUMNS = 8, 32
BESIDE = {"norm.weight": torch.ones(COLUMNS), "norm.scale": torch.ones(3), "q.bias": torch.ones(ROWS)}
# By kind: what is stored of a layer [8, 32], and the settings of its quantization.
LAYOUTS = {
    "GPTQ": (
        {"q.qweight": torch.zeros(4, 8, dtype=torch.int32), "q.qzeros": torch.zeros(1, 1, dtype=torch.int32),
         "q.scales": torch.ones(1, 8), "q.g_idx": torch.zeros(32, dtype=torch.int32)},
        {"quant_method": "gptq", "bits": 4},
    ),
    "GPTQ in three bits": (
        {"q.qweight": torch.zeros(3, 8, dtype=torch.int32), "q.scales": torch.ones(1, 8)},
        {"quant_method": "gptq", "bits": 3},
    ),
    "FP8": (
        {"q.weight": torch.zeros(8, 32).to(torch.float8_e4m3fn), "q.weight_scale_inv": torch.ones(1, 1)},
        {"quant_method": "fp8"},
    ),
    "NVFP4": (
        {"q.weight_packed": torch.zeros(8, 16, dtype=torch.uint8), "q.weight_scale": torch.ones(8, 2)},
        {"quant_method": "compressed-tensors"},
    ),
    "MXFP4": (
        {"q_blocks": torch.zeros(8, 1, 16, dtype=torch.uint8), "q_scales": torch.zeros(8, 1, dtype=torch.uint8)},
        {"quant_method": "mxfp4"},
    ),
    "four bits in bfloat16": (
        {"q.weight": torch.zeros(64, 1, dtype=torch.bfloat16), "q.weight.absmax": torch.ones(4),
         "q.weight.quant_state.bitsandbytes__nf4": torch.zeros(9, dtype=torch.uint8)},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
    ),
    "torchao int4": (
        {"q._weight_qdata": torch.zeros(8, 16, dtype=torch.uint8), "q._weight_scale": torch.ones(8, 1)},
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_of_other_methods(tmp_path: Path, kind: str) -> None:
    tensors, settings = LAYOUTS[kind]
    save_file(tensors | BESIDE, tmp_path / "model.safetensors")
    expected = ROWS * COLUMNS + sum(tensor.numel() for tensor in BESIDE.values())
    assert count_parameters([tmp_path / "model.safetensors"], {"quantization_config": settings}) == expected
