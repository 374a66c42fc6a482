"""Toy students and teachers, rows for them, and one thread: more only wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

WORDS = 61
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
KINDS = {
    "neox": (GPTNeoXForCausalLM, GPTNeoXConfig, SHAPE),
    "olmo2": (Olmo2ForCausalLM, Olmo2Config, SHAPE),
    # Head tied to the embedding.
    "qwen3": (
        Qwen3ForCausalLM,
        Qwen3Config,
        SHAPE | {"num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True},
    ),
    # Logits scaled.
    "cohere": (CohereForCausalLM, CohereConfig, SHAPE | {"logit_scale": 0.25}),
    # Logits soft-capped, so low that it matters.
    "gemma2": (
        Gemma2ForCausalLM,
        Gemma2Config,
        SHAPE | {"num_key_value_heads": 1, "head_dim": 8, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8},
    ),
    # A head with a bias.
    "gptj": (GPTJForCausalLM, GPTJConfig, GPT | {"rotary_dim": 4, "initializer_range": 0.3}),
    # Learned positions.
    "gpt2": (GPT2LMHeadModel, GPT2Config, GPT | {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}),
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy() -> Callable[..., PreTrainedModel]:
    """A random float32 model of a kind, made anew at each call."""

    def make(kind: str = "neox", *, seed: int = 0, vocabulary: int = WORDS, **changed) -> PreTrainedModel:
        model_class, config_class, shape = KINDS[kind]
        torch.manual_seed(seed)
        model = model_class(config_class(vocab_size=vocabulary, **{**shape, **changed}))
        bias = model.get_output_embeddings().bias
        if bias is not None:
            torch.nn.init.normal_(bias)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def unequal_rows() -> list[list[int]]:
    """Eight rows of 3 to 12 tokens: a mean of means over them is not the mean over tokens."""
    chance = np.random.default_rng(0)
    return [chance.integers(0, WORDS, length).tolist() for length in (12, 3, 7, 5, 4, 12, 9, 3)]


EXTRACTION = Extraction(8, 8, 24)


@pytest.fixture(scope="session")
def extraction() -> Extraction:
    return EXTRACTION


@pytest.fixture(scope="session")
def rows(tmp_path_factory) -> Path:
    """Sixteen rows of 24 tokens."""
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, np.random.default_rng(0).integers(1, 256, (16, 24)))
    return path


@pytest.fixture(scope="session")
def seven_rows(tmp_path_factory) -> Path:
    """Of unequal length, and one fewer than share out."""
    import json

    chance = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("rows") / "seven.jsonl"
    lengths = (24, 5, 17, 9, 24, 12, 20)
    path.write_text("".join(json.dumps({"input_ids": chance.integers(1, 256, n).tolist()}) + "\n" for n in lengths))
    return path


@pytest.fixture(scope="session")
def init(make_model) -> Model:
    return Model(str(make_model("pythia", seed=2, initializer_range=0.02)))


@pytest.fixture(scope="session")
def teacher(make_model) -> Model:
    """Random, but sure of itself."""
    return Model(str(make_model("pythia", seed=1)))


@pytest.fixture(scope="session")
def weights() -> Callable[[Model | Path], dict[str, torch.Tensor]]:
    def read(model: Model | Path) -> dict[str, torch.Tensor]:
        return load_file(Path(model.source if isinstance(model, Model) else model) / "model.safetensors")

    return read


@pytest.fixture
def train(init, rows, tmp_path) -> Callable[..., Model]:
    """`distill` of toys by a recipe given by name, in float32 with steps of 8 unless told otherwise."""
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.distill.run import distill

    def run(out: str = "out", *, teacher: Model | None = None, how: dict | None = None, **recipe) -> Model:
        chosen = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "precision": "float32"} | recipe
        arguments = {"init": init, "training_set": TrainingSet(str(rows)), "extraction": EXTRACTION} | (how or {})
        return distill(Recipe(**chosen), teacher=teacher, out=tmp_path / out, **arguments)

    return run
