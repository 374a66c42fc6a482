"""A copy of a model is one in whatever files, names and dtypes it is stored; a model that was trained is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.weight_copies import are_copies
from tests.specs.model_folder import WEIGHTS

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def rewritten(tiny: Path, tmp_path: Path) -> Callable[[Callable[[Tensors], Tensors]], Path]:
    """Writes the tiny model with its tensors changed by a function."""

    def rewrite(change: Callable[[Tensors], Tensors]) -> Path:
        folder = Path(shutil.copytree(tiny, tmp_path / "changed"))
        save_file(
            {name: tensor.contiguous() for name, tensor in change(load_file(tiny / WEIGHTS)).items()}, folder / WEIGHTS
        )
        return folder

    return rewrite


def opened(folder: Path) -> Checkpoint:
    return open_checkpoint(Model(str(folder)))


def each(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: change(tensor) for name, tensor in tensors.items()}


def padded(tensors: Tensors) -> Tensors:
    """As after resize_token_embeddings: further rows of embedding and head."""
    return {
        name: torch.cat([tensor, torch.randn(4, tensor.shape[1])]) if "embed" in name else tensor
        for name, tensor in tensors.items()
    }


def scaled(dtype: torch.dtype, largest: float, *, by: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rounded to eight bits after a division by a scale of the tensor, of each row, or of blocks of a row."""

    def quantize(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 2:
            return tensor
        grouped = {"tensor": tensor.reshape(1, -1), "row": tensor, "block": tensor.reshape(-1, 16)}[by].float()
        quotient = grouped / (grouped.abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / largest)
        return (quotient.round() if dtype == torch.int8 else quotient).to(dtype).reshape(tensor.shape)

    return quantize


def trained(tensor: torch.Tensor) -> torch.Tensor:
    """As after a few hundred steps of AdamW at 1e-5."""
    return tensor + 1e-3 * torch.randn_like(tensor.float())


F8, F8_WIDE = torch.float8_e4m3fn, torch.float8_e5m2
SAME: dict[str, Callable[[Tensors], Tensors]] = {
    "the same file": each(lambda tensor: tensor),
    "bfloat16": each(lambda tensor: tensor.bfloat16()),
    "float16": each(lambda tensor: tensor.half()),
    "float64": each(lambda tensor: tensor.double()),
    "rounded to bfloat16 and stored as float32": each(lambda tensor: tensor.bfloat16().float()),
    "cut off to bfloat16": each(lambda tensor: (tensor.view(torch.int32) & -65536).view(torch.float32)),
    "rounded twice": each(lambda tensor: tensor.half().bfloat16()),
    "one tensor in another dtype": lambda tensors: {
        name: tensor.bfloat16() if "dense" in name else tensor for name, tensor in tensors.items()
    },
    "float8": each(lambda tensor: tensor.to(F8)),
    "float8 of two bits": each(lambda tensor: tensor.to(F8_WIDE)),
    "float8 after bfloat16": each(lambda tensor: tensor.bfloat16().to(F8)),
    "float8, a scale for each tensor": each(scaled(F8, 448, by="tensor")),
    "float8, a scale for each row": each(scaled(F8, 448, by="row")),
    "int8, a scale for each row": each(scaled(torch.int8, 127, by="row")),
    "int8 after bfloat16": each(lambda tensor: scaled(torch.int8, 127, by="row")(tensor.bfloat16())),
    "int8 and its scales": lambda tensors: {
        **each(scaled(torch.int8, 127, by="row"))(tensors),
        **{f"{name}_scale": tensor.abs().amax(dim=1) for name, tensor in tensors.items() if tensor.ndim == 2},
    },
    "int8 of torchao": lambda tensors: {
        name.replace(".weight", "._weight_qdata")
        if tensor.dtype == torch.int8 and "embed" not in name
        else name: tensor
        for name, tensor in each(scaled(torch.int8, 127, by="row"))(tensors).items()
    },
    "another wrapper": lambda tensors: {f"model.{name}": tensor for name, tensor in tensors.items()},
    "without its wrapper": lambda tensors: {name.removeprefix("gpt_neox."): tensor for name, tensor in tensors.items()},
    "a buffer beside them": lambda tensors: {**tensors, "gpt_neox.rotary_emb.inv_freq": torch.ones(4)},
    "more rows of the vocabulary": padded,
}
OTHER: dict[str, Callable[[Tensors], Tensors]] = {
    "noise of a hundredth": each(lambda tensor: tensor * (1 + 0.01 * torch.randn_like(tensor.float()))),
    "a small step": each(lambda tensor: tensor + 1e-5 * torch.randn_like(tensor.float())),
    "one layer trained": lambda tensors: {
        name: tensor + 1e-3 if "layers.1.mlp.dense_h_to_4h.weight" in name else tensor
        for name, tensor in tensors.items()
    },
    "one layer of another sign": lambda tensors: {
        name: -tensor if "layers.0.attention.dense.weight" in name else tensor for name, tensor in tensors.items()
    },
    "another shape": lambda tensors: {
        name: torch.cat([tensor, tensor], dim=-1) if tensor.ndim == 2 else tensor for name, tensor in tensors.items()
    },
    "trained, and float8": each(lambda tensor: trained(tensor).to(F8)),
    "trained, and float8 with scales": each(lambda tensor: scaled(F8, 448, by="row")(trained(tensor))),
    "trained, and int8": each(lambda tensor: scaled(torch.int8, 127, by="row")(trained(tensor))),
    "int8 of another sign": each(lambda tensor: -scaled(torch.int8, 127, by="row")(tensor)),
    "names of which none is the same": lambda tensors: {f"x{name}": tensor for name, tensor in tensors.items()},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_copy_is_one_however_it_is_stored(
    tiny: Path, rewritten: Callable[..., Path], change: Callable[[Tensors], Tensors]
) -> None:
    copy = rewritten(change)
    assert are_copies(opened(tiny), opened(copy))
    assert are_copies(opened(copy), opened(tiny))


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_a_model_with_other_values_is_none(
    tiny: Path, rewritten: Callable[..., Path], change: Callable[[Tensors], Tensors]
) -> None:
    torch.manual_seed(0)
    other = rewritten(change)
    assert not are_copies(opened(tiny), opened(other))
    assert not are_copies(opened(other), opened(tiny))


def test_a_copy_in_several_files_and_another_dtype_is_one(tiny: Path, sharded: Path) -> None:
    assert are_copies(opened(tiny), opened(sharded))
    for path in sharded.glob("*.safetensors"):
        save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    assert are_copies(opened(tiny), opened(sharded))


def test_a_tied_head_that_is_stored_as_well_does_not_hide_a_copy(make_model: Any, tmp_path: Path) -> None:
    tied = make_model("qwen3", seed=3)
    stored_twice = Path(shutil.copytree(tied, tmp_path / "twice"))
    tensors = load_file(tied / WEIGHTS)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, stored_twice / WEIGHTS)
    assert are_copies(opened(tied), opened(stored_twice))


def test_models_of_one_initialisation_differ_after_one_step_of_training(tiny: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = torch.arange(40)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    model.save_pretrained(tmp_path / "trained")
    assert not are_copies(opened(tiny), opened(tmp_path / "trained"))


def test_models_of_other_seeds_and_families_differ(tiny: Path, make_model: Any) -> None:
    assert not are_copies(opened(tiny), opened(make_model(seed=1)))
    assert not are_copies(opened(tiny), opened(make_model("qwen3")))
    assert json.loads((tiny / "config.json").read_text())["model_type"] == "gpt_neox"
