"""vLLM is taken for configurations that it was held against transformers on, and for no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoConfig

from pytest_kdmem.engines.numerics import unfit_for_vllm
from pytest_kdmem.engines.vllm.configurations import COMPARED, uncompared_setting
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model

TYPES = {architecture: model_type for architecture, (model_type, _) in COMPARED.items()}


def saved(architecture: str, folder: Path, **settings: object) -> dict[str, object]:
    """The configuration of a class as transformers saves it."""
    config = AutoConfig.for_model(TYPES[architecture], architectures=[architecture], dtype="bfloat16", **settings)
    config.save_pretrained(folder)
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("architecture", sorted(COMPARED))
def test_the_usual_configuration_of_each_class_is_compared(architecture, tmp_path):
    config = saved(architecture, tmp_path)
    assert uncompared_setting(architecture, config) == ""
    assert uncompared_setting(architecture, {**config, "quantization_config": None, "logit_scale": None}) == ""


@pytest.mark.parametrize("model", sorted(Path(__file__).parents[3].glob("fixtures/models/*/student/config.json")))
def test_shipped_models_are_compared(model):
    config = json.loads(model.read_text())
    assert uncompared_setting(config["architectures"][0], config) == ""


@pytest.mark.parametrize("architecture", sorted(COMPARED))
@pytest.mark.parametrize(
    "settings",
    [
        {"interleaved_sliding_window": 4},
        {"attention_chunk_size": 16},
        {"dual_chunk_attention_config": {"chunk_size": 16}},
        {"final_logit_softcapping": 30.0},
        {"logit_scale": 2.0},
        {"logits_scaling": 2.0},
        {"embedding_multiplier": 2.0},
        {"residual_multiplier": 0.5},
        {"transformers_weights": "real.safetensors"},
        {"is_encoder_decoder": True},
        {"text_config": {"hidden_size": 64}},
        {"head_dtype": "float32"},
        {"clip_qkv": 1.0},
        {"partial_rotary_factor": 0.5},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mscale": 2.0}},
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
        {"hidden_act": "relu2"},
        {"activation_function": "relu2"},
        {"anything": 1},
    ],
    ids=str,
)
def test_a_key_or_value_that_was_never_compared_is_named(architecture, settings, tmp_path):
    assert next(iter(settings)) in uncompared_setting(architecture, {**saved(architecture, tmp_path), **settings})


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("LlamaForCausalLM", {"sliding_window": 16}),
        ("LlamaForCausalLM", {"layer_types": ["sliding_attention", "full_attention"]}),
        ("LlamaForCausalLM", {"qkv_bias": True}),
        ("LlamaForCausalLM", {"bias": True}),
        ("Olmo2ForCausalLM", {"sliding_window": 16}),
        ("GPTNeoXForCausalLM", {"sliding_window": 16}),
        ("OPTForCausalLM", {"sliding_window": 16}),
        ("Phi3ForCausalLM", {"sliding_window": 16}),
        ("Qwen2ForCausalLM", {"use_sliding_window": True}),
        ("Qwen2ForCausalLM", {"layer_types": ["full_attention", "sliding_attention"]}),
        ("Qwen2ForCausalLM", {"layer_types": "full_attention"}),
        ("Qwen2ForCausalLM", {"attention_bias": False}),
        ("Qwen3ForCausalLM", {"use_mrope": True}),
        ("Qwen3ForCausalLM", {"attention_bias": True}),
        ("MistralForCausalLM", {"attention_bias": True}),
        ("LlamaForCausalLM", {"rope_theta": 5e5}),
        ("LlamaForCausalLM", {"model_type": "mistral"}),
        ("LlamaForCausalLM", {"architectures": ["LlamaForCausalLM", "MistralForCausalLM"]}),
    ],
    ids=str,
)
def test_a_key_that_one_engine_obeys_and_the_other_does_not_is_named(architecture, settings, tmp_path):
    assert next(iter(settings)) in uncompared_setting(architecture, {**saved(architecture, tmp_path), **settings})


def test_the_sentence_names_model_and_setting(tiny):
    checkpoint = open_checkpoint(Model(str(tiny)))
    assert unfit_for_vllm(Model(str(tiny)), checkpoint) == ""
    other = replace(checkpoint, config={**checkpoint.config, "sliding_window": 16})
    sentence = unfit_for_vllm(Model(str(tiny)), other)
    assert sentence.endswith(f"that of {tiny} has sliding_window 16")
