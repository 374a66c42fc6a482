"""Integers that are packed for another number of bits than the configuration names are refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pytest_kdmem.engines.transformers.packed_weights import check_packed
from pytest_kdmem.errors import EngineError


def saved(folder: Path, words: int, *bits: Any) -> tuple[Any, Any]:
    """A layer of 64 inputs whose rows are packed into so many words, and a configuration with groups of bits."""
    save_file({"layer.weight_packed": torch.zeros(8, words, dtype=torch.int32)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({}))
    groups = {f"group_{at}": {"weights": {"num_bits": number}} for at, number in enumerate(bits)}
    config = {"quantization_config": {"config_groups": groups}} if bits else {}
    model = torch.nn.ModuleDict({"layer": torch.nn.Linear(64, 8)})
    return model, SimpleNamespace(config=config, weights_folder=folder)


@pytest.mark.parametrize(("words", "bits"), [(8, 4), (16, 8), (4, 2), (7, 3)])
def test_a_row_takes_as_many_words_as_its_bits_need(tmp_path: Path, words: int, bits: int) -> None:
    check_packed(*saved(tmp_path, words, bits))
    with pytest.raises(EngineError, match=rf"Weights of {bits} bits were expected .*layer\.weight_packed is packed"):
        check_packed(*saved(tmp_path, words + 1, bits))


def test_any_of_several_groups_may_have_packed_it(tmp_path: Path) -> None:
    check_packed(*saved(tmp_path, 16, 4, 8))
    with pytest.raises(EngineError, match="Weights of 2, 4 bits were expected"):
        check_packed(*saved(tmp_path, 16, 4, 2))


@pytest.mark.parametrize("bits", [(), (None,), (True,), (0,), (64,), ("4",)])
def test_a_configuration_that_names_no_bits_is_left_to_the_library(tmp_path: Path, bits: tuple[Any, ...]) -> None:
    check_packed(*saved(tmp_path, 5, *bits))
