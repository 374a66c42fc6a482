"""The checks before vLLM starts: the checkpoint's weights, and the parameters of vLLM's interface."""

from __future__ import annotations

import re

import pytest
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


def test_a_function_of_vllm_that_lacks_a_parameter_is_refused_by_its_name():
    def add_request(request_id, prompt):
        pass

    _check_parameters(add_request, {"request_id"})
    with pytest.raises(Refusal, match=r"add_request was expected to take params, top_k, which that of vLLM"):
        _check_parameters(add_request, {"prompt", "top_k", "params"})
