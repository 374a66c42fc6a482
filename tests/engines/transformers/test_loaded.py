"""A loaded model is the one in its files: nothing dropped, nothing changed, and nobody else's memory."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}


def load(folder, dtype="float32"):
    model = Model(str(folder))
    return load_model(model, open_checkpoint(model), dtype=dtype)


def refusal(folder, dtype="float32") -> str:
    with pytest.raises(EngineError) as caught:
        load(folder, dtype)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def add_weights(folder, **weights):
    path = folder / "model.safetensors"
    save_file({**load_file(path), **weights}, path, {"format": "pt"})


@pytest.fixture
def llama(tmp_path):
    """Saves a tiny Llama of the settings given."""

    def llama(**settings):
        torch.manual_seed(0)
        folder = tmp_path / "llama"
        LlamaForCausalLM(LlamaConfig(**{**SHAPE, **settings})).save_pretrained(folder)
        return folder

    return llama


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


@pytest.mark.parametrize("name", ["v_head.summary.weight", "model.layers.0.self_attn.k_scale", "lora.A", "model.extra"])
def test_any_other_tensor_without_a_place_is_refused(llama, name):
    folder = llama()
    add_weights(folder, **{name: torch.ones(4)})
    assert f"(first: {name})" in refusal(folder)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("same", [True, False])
def test_rotary_frequencies_of_old_files_must_be_those_of_the_configuration(llama, stored, same):
    folder = llama()
    frequencies = 1.0 / (10_000.0 if same else 500_000.0) ** (torch.arange(0, 8, 2) / 8)
    add_weights(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": frequencies.to(stored)})
    if same:
        load(folder)
    else:
        assert "(first: model.layers.0.self_attn.rotary_emb.inv_freq)" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "value", "harmless"),
    [
        ("h.0.attn.bias", torch.ones(1, 1, 64, 64).tril(), True),
        ("h.0.attn.bias", torch.ones(1, 1, 64, 64).tril().bool(), True),
        ("h.0.attn.bias", torch.ones(1, 1, 64, 64), False),
        ("h.0.attn.bias", torch.ones(1, 1, 64, 64).tril().triu(-8), False),
        ("h.0.attn.bias", torch.ones(32), False),
        ("h.0.attn.masked_bias", torch.tensor(-1e4), True),
        ("h.0.attn.masked_bias", torch.tensor(-1.0), False),
    ],
    ids=["mask", "mask of bits", "mask of nothing", "mask of a window", "a real bias", "hides", "shows"],
)
def test_masks_of_old_files_must_be_causal(tmp_path, name, value, harmless):
    torch.manual_seed(0)
    config = GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=64, n_positions=64, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    backbone = {
        key.removeprefix("transformer."): value for key, value in load_file(tmp_path / "model.safetensors").items()
    }
    save_file({**backbone, name: value.contiguous()}, tmp_path / "model.safetensors", {"format": "pt"})
    if harmless:
        load(tmp_path)
    else:
        assert f"(first: {name})" in refusal(tmp_path)


@pytest.mark.parametrize(("layer", "window"), [(0, None), (1, 8), (0, 8), (1, None), (1, 16)])
def test_masks_of_gpt_neo_must_show_what_each_layer_attends_to(tmp_path, layer, window):
    torch.manual_seed(0)
    config = GPTNeoConfig(
        hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8,
        vocab_size=64, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    mask = torch.ones(1, 1, 64, 64).tril()
    if window is not None:
        mask -= mask.tril(-window)  # as the class made it
    add_weights(tmp_path, **{f"transformer.h.{layer}.attn.attention.bias": mask.bool()})
    if (layer, window) in ((0, None), (1, 8)):
        load(tmp_path)
    else:
        assert f"h.{layer}.attn.attention.bias" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["for further tokens", "as any other"])
def test_a_layer_that_a_class_leaves_out_by_its_number_must_be_one_for_further_tokens(tmp_path, kind):
    """DeepSeek-V3 leaves out layer 61, whatever it holds; a student of another depth may well have it."""
    torch.manual_seed(0)
    config = DeepseekV3Config(
        hidden_size=16, intermediate_size=16, moe_intermediate_size=8, num_hidden_layers=61, num_attention_heads=2,
        num_key_value_heads=2, n_routed_experts=2, num_experts_per_tok=1, n_group=1, topk_group=1, q_lora_rank=8,
        kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4, head_dim=4, vocab_size=16,
        first_k_dense_replace=61, max_position_embeddings=32, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    DeepseekV3ForCausalLM(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    layer = {name.replace(".60.", ".61."): value.clone() for name, value in weights.items() if ".layers.60." in name}
    if kind == "for further tokens":
        layer |= {f"model.layers.61.{name}.weight": torch.ones(16) for name in ("enorm", "hnorm")}
    add_weights(tmp_path, **layer)
    if kind == "for further tokens":
        load(tmp_path)
    else:
        assert "(first: model.layers.61." in refusal(tmp_path)


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
    assert "1 of its weights are others (first: model.norm.weight)" in refusal(folder)


def test_weights_that_hold_nan_are_loaded_and_left_to_the_engine(llama):
    folder = llama()
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).model.norm.weight[0].isnan()
