"""A checkpoint is known by what it computes: not by where it lies, how it is cut into files, or who saved it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kdmem.base import file_memory
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.weights import read_weights
from tests.specs.model_folder import WEIGHTS, change_json, digest, refusal


def test_a_copied_folder_has_the_same_digest(tiny: Path, copied: Path) -> None:
    assert digest(copied) == digest(tiny)


def test_another_tokenizer_changes_the_digest(tiny: Path, copied: Path) -> None:
    content = json.loads((copied / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (copied / "tokenizer.json").write_text(json.dumps(content))
    before, after = (open_checkpoint(Model(str(folder))) for folder in (tiny, copied))
    assert after.digest != before.digest
    assert after.tokenizer_digest != before.tokenizer_digest


@pytest.mark.parametrize("changed", [{"layer_norm_eps": 0.1}, {"use_parallel_residual": False}, {"rotary_pct": 0.5}])
def test_a_setting_that_logits_depend_on_changes_the_digest(
    tiny: Path, copied: Path, changed: dict[str, object]
) -> None:
    change_json(copied / "config.json", **changed)
    assert digest(copied) != digest(tiny)


@pytest.mark.parametrize(
    "changed", [{"transformers_version": "9.9"}, {"_name_or_path": "/elsewhere"}, {"use_cache": False}]
)
def test_a_setting_that_changes_no_logit_leaves_the_digest(
    tiny: Path, copied: Path, changed: dict[str, object]
) -> None:
    change_json(copied / "config.json", **changed)
    assert digest(copied) == digest(tiny)


def test_padding_last_used_by_the_tokenizer_leaves_the_digest(tiny: Path, copied: Path) -> None:
    change_json(copied / "tokenizer.json", truncation={"max_length": 8, "stride": 0, "strategy": "LongestFirst"})
    assert digest(copied) == digest(tiny)


@pytest.mark.parametrize("family", ["pythia", "olmo2", "qwen3"])
def test_parameters_are_those_that_torch_counts(make_model: Callable[..., Path], family: str) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_model(family, seed=3)
    checkpoint = open_checkpoint(Model(str(folder)))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert checkpoint.parameters == sum(weight.numel() for weight in model.parameters())
    assert (checkpoint.vocabulary, checkpoint.positions) == (300, 256)
    assert checkpoint.architecture == type(model).__name__


def test_a_folder_without_configuration_is_refused(copied: Path) -> None:
    (copied / "config.json").unlink()
    assert "config.json" in refusal(copied)


@pytest.mark.parametrize("content", ["", "{", "[]", '"pythia"', "null"])
def test_a_damaged_configuration_is_refused(copied: Path, content: str) -> None:
    (copied / "config.json").write_text(content)
    assert "config.json" in refusal(copied)


@pytest.mark.parametrize("text_config", [None, [1], "text"], ids=repr)
def test_a_text_configuration_that_is_no_object_is_not_read(tiny: Path, copied: Path, text_config: object) -> None:
    change_json(copied / "config.json", text_config=text_config)
    expected, checkpoint = (open_checkpoint(Model(str(folder))) for folder in (tiny, copied))
    assert (checkpoint.vocabulary, checkpoint.positions) == (expected.vocabulary, expected.positions) == (300, 256)
    assert checkpoint.digest != expected.digest


def test_a_nested_text_configuration_is_read_before_the_outer_one(copied: Path) -> None:
    change_json(copied / "config.json", text_config={"vocab_size": 301, "max_position_embeddings": 64})
    checkpoint = open_checkpoint(Model(str(copied)))
    assert (checkpoint.vocabulary, checkpoint.positions) == (301, 64)


def test_sizes_that_are_not_configured_are_unknown(copied: Path) -> None:
    change_json(copied / "config.json", vocab_size=None, max_position_embeddings=None)
    checkpoint = open_checkpoint(Model(str(copied)))
    assert (checkpoint.vocabulary, checkpoint.positions) == (0, None)


@pytest.mark.parametrize("key", ["vocab_size", "max_position_embeddings"])
@pytest.mark.parametrize("value", ["300", 300.0, True, [300], {}], ids=repr)
def test_a_size_that_is_no_whole_number_is_refused(copied: Path, key: str, value: object) -> None:
    change_json(copied / "config.json", **{key: value})
    assert f"A whole number was expected as {key}" in refusal(copied)


def test_a_model_is_read_once_and_again_after_it_changed(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_memory, "CLOCK_TICK_NS", -(10**12))  # files count as written long ago
    first = open_checkpoint(Model(str(copied)))
    weights = read_weights(copied)
    assert open_checkpoint(Model(str(copied))) is first
    change_json(copied / "config.json", layer_norm_eps=0.5)
    changed = open_checkpoint(Model(str(copied)))
    assert changed.digest != first.digest
    assert read_weights(copied) is weights, "the weights stayed as they were"
    content = bytearray((copied / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copied / WEIGHTS).write_bytes(content)
    assert open_checkpoint(Model(str(copied))).digest != changed.digest
    assert read_weights(copied) is not weights
    (copied / "tokenizer.json").unlink()
    assert open_checkpoint(Model(str(copied))).tokenizer_digest == "none"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere" / "student")


def test_a_hub_model_that_was_never_downloaded_is_refused_offline() -> None:
    assert "--kdmem-offline" in refusal("kdmem-no-such-owner/no-such-model")


def test_no_torch_is_imported_to_open_a_checkpoint(tiny: Path) -> None:
    code = (
        "import sys; from pytest_kdmem import Model; from pytest_kdmem.specs.checkpoint import open_checkpoint;"
        f"open_checkpoint(Model({str(tiny)!r}));"
        "print([name for name in ('torch', 'transformers', 'datasets', 'sklearn') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
