"""Values of stored tensors are those that torch wrote, wherever one begins to read, and names lack their wrappers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pytest_kdmem.specs.stored_values import plain_name, stored_tensors


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8], ids=str)
def test_values_are_those_that_were_written(tmp_path: Path, dtype: torch.dtype) -> None:
    written = (torch.arange(24.0).reshape(4, 6) / 8).to(dtype)
    save_file({"model.a": written, "b": torch.ones(1)}, tmp_path / "a.safetensors")
    tensor = stored_tensors([tmp_path / "a.safetensors"])["a"]
    assert (tensor.shape, tensor.size) == ((4, 6), 24)
    np.testing.assert_array_equal(tensor.values(0, 24), written.flatten().double().numpy())
    np.testing.assert_array_equal(tensor.values(7, 11), written.flatten()[7:11].double().numpy())
    assert not tensor.added(7, 11).any()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("base_model.model.model.layers.0.mlp.weight", "layers.0.mlp.weight"),
        ("_orig_mod.module.transformer.wte.weight", "wte.weight"),
        ("embed_out.weight", "lm_head.weight"),
        ("model", "model"),
    ],
)
def test_a_name_has_no_wrappers(name: str, plain: str) -> None:
    assert plain_name(name) == plain
