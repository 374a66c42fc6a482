"""Toy models, rows for them, and trainings that several test files share."""

from __future__ import annotations

import json
import shutil
import signal
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

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.errors import TrainingInterrupted
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
    """On toy models, several threads spend their time waiting for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy() -> Callable[..., PreTrainedModel]:
    """Makes a random float32 model of a kind, a new one with each call."""

    def make(kind: str = "neox", *, seed: int = 0, vocabulary: int = WORDS, **settings) -> PreTrainedModel:
        model_class, config_class, shape = KINDS[kind]
        torch.manual_seed(seed)
        model = model_class(config_class(vocab_size=vocabulary, **{**shape, **settings}))
        bias = model.get_output_embeddings().bias
        if bias is not None:
            torch.nn.init.normal_(bias)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def unequal_rows() -> list[list[int]]:
    """Eight rows of 3 to 12 tokens: a mean of means over them is not the mean over tokens."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, WORDS, length).tolist() for length in (12, 3, 7, 5, 4, 12, 9, 3)]


EXTRACTION = Extraction(8, 8, 24)


@pytest.fixture(scope="session")
def extraction() -> Extraction:
    return EXTRACTION


@pytest.fixture(scope="session")
def rows(tmp_path_factory) -> Path:
    """A file with sixteen rows of 24 tokens."""
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, np.random.default_rng(0).integers(1, 256, (16, 24)))
    return path


@pytest.fixture(scope="session")
def seven_rows(tmp_path_factory) -> Path:
    """A file with seven rows of unequal lengths, so that the last step of four or eight has an empty row."""
    generator = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("rows") / "seven.jsonl"
    lengths = (24, 5, 17, 9, 24, 12, 20)
    path.write_text(
        "".join(json.dumps({"input_ids": generator.integers(1, 256, length).tolist()}) + "\n" for length in lengths)
    )
    return path


@pytest.fixture(scope="session")
def init(make_model) -> Model:
    """A student to train, with logits near 0."""
    return Model(str(make_model("pythia", seed=2, initializer_range=0.02)))


@pytest.fixture(scope="session")
def teacher(make_model) -> Model:
    """A random teacher with logits of the size of a trained model's."""
    return Model(str(make_model("pythia", seed=1)))


@pytest.fixture(scope="session")
def weights() -> Callable[[Model], dict[str, torch.Tensor]]:
    """Reads the weights of a model."""
    return lambda model: load_file(Path(model.source) / "model.safetensors")


@pytest.fixture(scope="session")
def train_in(init, rows) -> Callable[..., Model]:
    """Trains into a folder: a recipe by its settings, and further arguments of `distill`.

    Unless the recipe says otherwise, training takes one epoch of two steps, in float32.
    """

    def run(out: Path, *, arguments: dict | None = None, **recipe) -> Model:
        settings = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "precision": "float32"} | recipe
        defaults = {"init": init, "training_set": TrainingSet(str(rows)), "extraction": EXTRACTION}
        return distill(Recipe(**settings), out=out, **(defaults | (arguments or {})))

    return run


@pytest.fixture
def train(train_in, tmp_path) -> Callable[..., Model]:
    """`train_in` a folder of a name in the test's own folder."""

    def run(name: str = "out", **settings) -> Model:
        return train_in(tmp_path / name, **settings)

    return run


class Sigterm(NoProgress):
    """A progress that sends SIGTERM, or another signal, to this process at the end of a step."""

    def __init__(self, step: int, batch_size: int = 8, signal_number: int = signal.SIGTERM) -> None:
        self._stop_at, self._examples, self._signal_number = step * batch_size, 0, signal_number

    def advance(self, examples: int) -> None:
        self._examples += examples
        if self._examples == self._stop_at:
            signal.raise_signal(self._signal_number)


@pytest.fixture(scope="session")
def sigterm_at() -> Callable[[int], Sigterm]:
    """A progress that sends SIGTERM to this process at the end of a step."""
    return Sigterm


@pytest.fixture(scope="session")
def stop_in(train_in) -> Callable[..., None]:
    """`train_in`, stopped by SIGTERM at the end of a step."""

    def run(out: Path, step: int, *, arguments: dict | None = None, **recipe) -> None:
        progress = Sigterm(step, recipe.get("batch_size", 8))
        with pytest.raises(TrainingInterrupted, match=f"Training stopped at step {step} of .* as SIGTERM asked"):
            train_in(out, arguments=(arguments or {}) | {"progress": progress}, **recipe)

    return run


@pytest.fixture
def stop(stop_in, tmp_path) -> Callable[..., None]:
    """`stop_in` a folder of a name in the test's own folder."""

    def run(name: str, step: int, **settings) -> None:
        stop_in(tmp_path / name, step, **settings)

    return run


# A training of four steps, which the next fixtures run whole, and stop.
FOUR_STEPS = {"mode": "baseline", "epochs": 2}


@pytest.fixture(scope="session")
def four_steps() -> dict[str, object]:
    """The recipe of `uninterrupted` and `interrupted`."""
    return FOUR_STEPS


@pytest.fixture(scope="session")
def uninterrupted(train_in, tmp_path_factory) -> Model:
    """A model trained for four steps."""
    return train_in(tmp_path_factory.mktemp("uninterrupted") / "out", **FOUR_STEPS)


@pytest.fixture(scope="session")
def stopped_folder(stop_in, tmp_path_factory) -> Path:
    """The folder of the same training, stopped at step 2."""
    out = tmp_path_factory.mktemp("interrupted") / "out"
    stop_in(out, 2, **FOUR_STEPS)
    return out.with_name(".out.training")


@pytest.fixture
def interrupted(stopped_folder, tmp_path) -> Path:
    """A copy of `stopped_folder` beside the test's own folder ``out``."""
    return Path(shutil.copytree(stopped_folder, tmp_path / ".out.training"))
