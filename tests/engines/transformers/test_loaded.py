"""A loaded model is the one in its files: nothing dropped, nothing changed, and nobody else's memory."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.engines.transformers.saved_models import add_weights, change_config, load, refusal


@pytest.mark.parametrize(
    ("trained", "saved", "dropped"),
    [
        ({"attention_bias": True}, {"attention_bias": False}, r"8 have none .*layers\.0\.self_attn\.\w_proj\.bias"),
        ({"mlp_bias": True}, {"mlp_bias": False}, r"6 have none .*layers\.0\.mlp\.\w+_proj\.bias"),
        ({"num_hidden_layers": 3}, {"num_hidden_layers": 2}, r"9 have none .*layers\.2\."),
        ({"num_hidden_layers": 3}, {"num_hidden_layers": 0}, r"27 have none .*layers\.0\."),
    ],
    ids=["attention biases", "MLP biases", "one layer less", "no layer"],
)
def test_weights_that_the_configuration_has_no_place_for_are_refused(llama, trained, saved, dropped):
    folder = llama(**trained)
    change_config(folder, **saved)
    refused = refusal(folder)
    assert re.search(dropped, refused), refused
    assert "correct config.json" in refused


def test_a_tied_head_may_be_stored_twice_and_another_head_is_the_one_that_runs(llama):
    folder = llama(tie_word_embeddings=True)
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    add_weights(folder, **{"lm_head.weight": embedding.clone()})
    assert torch.equal(load(folder).lm_head.weight, embedding)
    add_weights(folder, **{"lm_head.weight": -embedding})
    assert torch.equal(load(folder).lm_head.weight, -embedding)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_loaded_weight_is_a_map_of_its_file(llama, dtype):
    folder = llama(dtype=dtype)
    AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(folder)
    model = load(folder, dtype)
    assert next(model.parameters()).dtype == getattr(torch, dtype)
    with Path("/proc/self/maps").open() as maps:
        assert str(folder) not in maps.read()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    content = (folder / "model.safetensors").read_bytes()
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(len(content) // 2)
        file.write(b"\x11" * (len(content) // 2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_tied_weights_stay_tied_in_memory_of_our_own(llama):
    model = load(llama(tie_word_embeddings=True))
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_weights_that_another_file_was_loaded_for_are_refused(llama, tmp_path, monkeypatch):
    """Whatever makes transformers open another file than the digested one, the loaded values give it away."""
    folder = llama()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    real = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda path, **settings: real(str(other), **settings))
    assert "1 of its weights differ (first: model.norm.weight)" in refusal(folder)


def test_weights_that_hold_nan_are_loaded_and_left_to_the_engine(llama):
    folder = llama()
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).model.norm.weight[0].isnan()
