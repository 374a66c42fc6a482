"""The checks before vLLM starts: the checkpoint's weights, and the parameters of vLLM's interface."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_kdmem.engines.vllm.loading import Refusal, _check_parameters, check_weights


def request_for(folder) -> dict[str, str]:
    return {"name": "mine", "folder": str(folder), "dtype": "float32"}


def test_the_rows_of_the_head_are_counted(make_model):
    assert check_weights(request_for(make_model("pythia", seed=1, vocabulary=352))) == 352


def test_a_checkpoint_that_lacks_a_weight_is_refused(make_model):
    folder = make_model("qwen3", seed=6)
    weights = load_file(folder / "model.safetensors")
    missing = next(name for name in weights if "k_proj" in name)
    del weights[missing]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(Refusal, match=rf"in mine; 1 are missing or of another shape \(first: .*{re.escape(missing)}"):
        check_weights(request_for(folder))


def add_weights(folder, **weights) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **weights}, path, {"format": "pt"})


def test_a_weight_without_a_place_is_refused(make_model):
    folder = make_model("qwen3", seed=6)
    add_weights(folder, **{"model.layers.0.self_attn.q_proj.bias": torch.ones(32)})
    with pytest.raises(Refusal, match=r"1 have none and would be dropped \(first: .*q_proj\.bias\)"):
        check_weights(request_for(folder))


@pytest.mark.parametrize("base", [10_000.0, 500.0])
def test_rotary_frequencies_of_old_files_are_compared_without_loading_anything(make_model, base):
    folder = make_model("qwen3", seed=6)
    frequencies = 1.0 / base ** (torch.arange(0, 8, 2) / 8)
    add_weights(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": frequencies})
    if base == 10_000.0:
        assert check_weights(request_for(folder)) == 300
    else:
        with pytest.raises(Refusal, match="inv_freq"):
            check_weights(request_for(folder))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_head_that_vllm_would_replace_by_the_embedding_is_refused(make_model, sign):
    folder = make_model("qwen3", seed=6, tie_word_embeddings=True)
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    add_weights(folder, **{"lm_head.weight": sign * embedding})
    if sign == 1:
        assert check_weights(request_for(folder)) == 300
    else:
        with pytest.raises(Refusal, match=r"by tie_word_embeddings in its config\.json, and its files hold another"):
            check_weights(request_for(folder))


def test_a_function_of_vllm_that_lacks_a_parameter_is_refused_by_its_name():
    def add_request(request_id, prompt):
        pass

    _check_parameters(add_request, {"request_id"})
    with pytest.raises(Refusal, match=r"add_request was expected to take params, top_k, which that of vLLM"):
        _check_parameters(add_request, {"prompt", "top_k", "params"})
