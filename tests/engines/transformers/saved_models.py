"""Tiny models that are saved, changed on disk and loaded."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

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
