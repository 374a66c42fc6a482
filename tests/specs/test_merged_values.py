"""A model that an adapter was merged into is found to be that adapter's copy, by PEFT's own merging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.weight_copies import are_copies
from tests.engines.transformers.any_adapter import KINDS, PYTHIA_LAYERS, save_adapter

PLAIN = LoraConfig(r=4, target_modules=PYTHIA_LAYERS, init_lora_weights=False)
EMBEDDING = LoraConfig(r=4, target_modules=["embed_in"], init_lora_weights=False)
RANKS = LoraConfig(r=4, target_modules=PYTHIA_LAYERS, rank_pattern={"dense_4h_to_h": 2}, init_lora_weights=False)
ALPHAS = LoraConfig(r=4, target_modules=PYTHIA_LAYERS, alpha_pattern={"dense_4h_to_h": 2}, init_lora_weights=False)
SUMS = {
    **{kind: KINDS[kind] for kind in ("LoRA", "rsLoRA", "LoRA with biases", "a head of its own")},
    "an embedding": ("pythia", EMBEDDING),
    "ranks by layer": ("pythia", RANKS),
}
NOT_COMPUTED = {**{kind: KINDS[kind] for kind in ("DoRA", "IA3")}, "scales by layer": ("pythia", ALPHAS)}


def merged(base: Path, adapter: Path, folder: Path, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """The whole model that PEFT makes of both, saved in a dtype."""
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=dtype), str(adapter))
    model.merge_and_unload().save_pretrained(folder)
    return opened(folder)


def opened(folder: Path) -> Checkpoint:
    return open_checkpoint(Model(str(folder)))


@pytest.mark.parametrize("kind", SUMS)
def test_a_merged_copy_is_one(make_model: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    family, config = SUMS[kind]
    base = make_model(family)
    adapter = save_adapter(base, config, tmp_path / "adapter")
    for dtype in (torch.float32, torch.bfloat16):
        copy = merged(base, adapter, tmp_path / str(dtype), dtype)
        assert are_copies(opened(adapter), copy)
        assert are_copies(copy, opened(adapter))
    assert not are_copies(opened(adapter), opened(base))


@pytest.fixture
def base(make_model: Callable[..., Path]) -> Path:
    return make_model("pythia")


def test_layers_with_transposed_weights_are_merged_as_they_lie(tmp_path: Path) -> None:
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4)).save_pretrained(tmp_path / "base")
    config = LoraConfig(target_modules=["c_attn", "c_proj"], init_lora_weights=False, fan_in_fan_out=True)
    adapter = save_adapter(tmp_path / "base", config, tmp_path / "adapter")
    assert are_copies(merged(tmp_path / "base", adapter, tmp_path / "copy"), opened(adapter))


def scaled(adapter: Path, factor: float) -> None:
    """Multiply what an adapter adds."""
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: t * factor if "lora_B" in name else t for name, t in tensors.items()}, path)


def test_another_adapter_of_the_base_is_none_however_little_it_adds(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, PLAIN, tmp_path / "adapter")
    copy = merged(base, adapter, tmp_path / "copy")
    scaled(adapter, 1.1)
    assert not are_copies(opened(adapter), copy)
    scaled(adapter, 1e-3)
    assert not are_copies(opened(adapter), copy)
    assert not are_copies(opened(adapter), opened(base))


def test_two_adapters_that_make_one_model_are_copies(base: Path, tmp_path: Path) -> None:
    first = save_adapter(base, PLAIN, tmp_path / "first")
    other = LoraConfig(r=4, lora_alpha=16, target_modules=PYTHIA_LAYERS, init_lora_weights=False)
    second = save_adapter(base, other, tmp_path / "second")
    assert not are_copies(opened(first), opened(second))
    scaled(second, 0.5)
    assert are_copies(opened(first), opened(second))


@pytest.mark.parametrize("kind", NOT_COMPUTED)
def test_what_is_no_such_sum_is_not_compared_with_a_whole_model(
    make_model: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    family, config = NOT_COMPUTED[kind]
    base = make_model(family)
    adapter = save_adapter(base, config, tmp_path / "adapter")
    assert not are_copies(opened(adapter), merged(base, adapter, tmp_path / "copy"))
    assert are_copies(opened(adapter), opened(adapter))
