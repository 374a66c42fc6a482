"""vLLM is shown the weights that transformers loads, and nothing that lies beside them."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem.engines.vllm.folder import link_checkpoint
from pytest_kdmem.errors import SpecError


def test_the_configuration_and_the_weights_of_transformers_are_linked(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    beside = [
        "model_ema.safetensors",
        "consolidated.safetensors",
        "params.json",
        "tokenizer.json",
        "generation_config.json",
    ]
    for name in ["config.json", *shards, *beside]:
        (folder / name).write_text(json.dumps({"name": name}))
    index = {"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    def linked(name: str) -> set[str]:
        link_checkpoint(folder, tmp_path / name)
        assert all(file.read_text() == (folder / file.name).read_text() for file in (tmp_path / name).iterdir())
        return {file.name for file in (tmp_path / name).iterdir()}

    assert linked("sharded") == {"config.json", "model.safetensors.index.json", *shards}
    (folder / "model.safetensors").write_text("whole")
    assert linked("whole") == {"config.json", "model.safetensors"}
    (folder / "model.safetensors").unlink()
    (folder / shards[1]).unlink()
    with pytest.raises(SpecError, match=shards[1]):
        linked("missing")
