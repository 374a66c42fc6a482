"""A checkpoint is loaded whole or refused, and transformers is as it was before."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_kdmem.engines.transformers.loading import is_out_of_memory, load_model
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model


def load(folder, **settings):
    model = Model(str(folder))
    return load_model(model, open_checkpoint(model), dtype="float32", **settings)


def test_a_loaded_model_has_the_weights_of_the_checkpoint_in_evaluation_mode(tiny):
    model = load(tiny, attention="eager")
    assert not model.training
    assert model.config._attn_implementation == "eager"
    stored, loaded = load_file(tiny / "model.safetensors"), model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in stored.items() if name in loaded)
    assert stored.keys() & loaded.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "missing",
            r"All weights of Qwen3ForCausalLM were expected in .*; 1 are missing .*\(first: .*k_proj\.weight\)",
        ),
        (
            "another shape",
            r"All weights of Qwen3ForCausalLM were expected in .*; 1 are missing .* shape \(first: .*k_proj\.weight\)",
        ),
    ],
)
def test_a_checkpoint_that_lacks_a_weight_or_has_it_in_another_shape_is_refused(make_model, change, message):
    folder = make_model("qwen3", seed=6)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "k_proj" in name)
    if change == "missing":
        del weights[name]
    else:
        weights[name] = weights[name][:-1].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EngineError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_causal_model_is_refused_in_one_sentence(make_model):
    folder = make_model("pythia", seed=7)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"gpt_neox"', '"unheard_of"'))
    with pytest.raises(EngineError, match=r"causal language model was expected in .*; it does not load: ") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_the_variable_of_fsdp_is_put_aside_while_a_model_loads_and_restored(tiny, monkeypatch):
    """With it, all processes but the first would load zeros."""
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("LOCAL_RANK", "1")
    model = load(tiny)
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "true"
    assert any(weight.abs().max() > 0 for name, weight in model.state_dict().items() if name.endswith("weight"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_errors_of_the_runtime_are_told_apart_from_those_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
