"""Architectures in which packed examples see each other are refused before training begins."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from pytest_kdmem.distill.packing import check_packing
from pytest_kdmem.errors import EngineError

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LEAKS = {
    "opt": lambda: OPTForCausalLM(OPTConfig(**SMALL, ffn_dim=32, max_position_embeddings=64, word_embed_proj_dim=16)),
    "bloom": lambda: BloomForCausalLM(BloomConfig(vocab_size=40, hidden_size=16, n_layer=2, n_head=2)),
}
KEEPS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=64)),
    "mistral": lambda: MistralForCausalLM(
        MistralConfig(**SMALL, intermediate_size=32, num_key_value_heads=2, sliding_window=4)
    ),
}


def build_model(build):
    torch.manual_seed(0)
    return build().eval()


@pytest.mark.parametrize("build", LEAKS.values(), ids=LEAKS)
def test_models_in_which_packed_examples_see_each_other_are_refused(build):
    with pytest.raises(EngineError, match=r"keeps packed examples apart was expected.*train without --packing"):
        check_packing(build_model(build))


@pytest.mark.parametrize("build", KEEPS.values(), ids=KEEPS)
def test_models_that_keep_packed_examples_apart_are_accepted(build):
    check_packing(build_model(build))


@pytest.mark.parametrize("family", ["pythia", "olmo2", "qwen3"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_studied_families_keep_packed_examples_apart(make_model, family, attention):
    from transformers import AutoModelForCausalLM

    folder = make_model(family, seed=3)
    for dtype in (torch.float32, torch.bfloat16):
        check_packing(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval())
