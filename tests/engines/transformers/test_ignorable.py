"""A stored tensor without a place is left out only if the model computes the same without it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
)

from tests.engines.transformers.saved_models import add_weights, load, refusal


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
