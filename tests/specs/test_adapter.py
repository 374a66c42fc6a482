"""An adapter is opened with its base, and one that is no whole adapter of a causal language model is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.adapter import read_adapter
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.run_card import ModelOrigin, RunCard, write_run_card
from pytest_kdmem.specs.weight_copies import are_copies
from tests.conftest import ROOT
from tests.specs.model_folder import refusal

RECORDS = ROOT / "tests" / "records"
WEIGHTS = "adapter_model.safetensors"
TENSORS = {
    "base_model.model.layers.0.lora_A.weight": torch.arange(8.0).reshape(2, 4),
    "base_model.model.layers.0.lora_B.weight": torch.ones(4, 2),
}


@pytest.fixture
def make_adapter(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes an adapter of the tiny model, with changed tensors or settings."""

    def make(name: str = "adapter", *, tensors: dict[str, torch.Tensor] | None = None, **settings: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        save_file(tensors or TENSORS, folder / WEIGHTS)
        config = {"peft_type": "LORA", "base_model_name_or_path": str(tiny), "task_type": "CAUSAL_LM", "r": 2}
        (folder / "adapter_config.json").write_text(json.dumps(config | settings))
        return folder

    return make


def opened(folder: Path, **declared: str) -> Checkpoint:
    return open_checkpoint(Model(str(folder), **declared))  # type: ignore[arg-type]


def test_it_has_the_configuration_of_its_base_and_one_digest(make_adapter: Callable[..., Path], tiny: Path) -> None:
    base, adapter = opened(tiny), opened(make_adapter())
    assert (adapter.base, adapter.weights_folder, adapter.text_folder) == (base, tiny, tiny)
    assert (adapter.config, adapter.positions) == (base.config, base.positions)
    assert adapter.text_digest == base.text_digest
    assert len({base.digest, adapter.digest}) == len({base.weights_digest, adapter.weights_digest}) == 2
    assert adapter.weights_digest_again() == adapter.weights_digest


@pytest.mark.parametrize(
    "changed",
    [
        {"tensors": TENSORS | {"base_model.model.layers.0.lora_B.weight": torch.zeros(4, 2)}},
        {"lora_alpha": 32},
        {"use_rslora": True},
    ],
)
def test_its_digest_changes_with_what_it_computes(make_adapter: Callable[..., Path], changed: dict) -> None:
    first, second = opened(make_adapter("first")), opened(make_adapter("second", **changed))
    assert first.weights_digest != second.weights_digest
    assert first.digest != second.digest


def test_its_digest_does_not_name_its_origin(make_adapter: Callable[..., Path], tiny: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny, tmp_path / "moved"))
    same = {"base_model_name_or_path": str(moved), "inference_mode": True, "peft_version": "0.0.1", "revision": "main"}
    assert opened(make_adapter("first")).digest == opened(make_adapter("second", **same)).digest


def test_the_order_in_which_names_are_written_does_not_count(make_adapter: Callable[..., Path]) -> None:
    names = {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["a", "b"], "layers_to_transform": [0, 1]}
    first = opened(make_adapter("first", **names))
    other = names | {"target_modules": ["v_proj", "q_proj"], "modules_to_save": ["b", "a"]}
    assert opened(make_adapter("second", **other)).digest == first.digest
    assert opened(make_adapter("third", **names | {"layers_to_transform": [1, 0]})).digest != first.digest


@pytest.fixture
def trained_adapter(make_adapter: Callable[..., Path], copied: Path) -> Path:
    """An adapter of a copy of the tiny model, with a run card that says so."""
    folder = make_adapter(base_model_name_or_path=str(copied))
    checkpoint = opened(folder)
    assert checkpoint.base is not None
    card = RunCard.from_json(json.loads((RECORDS / "kdmem_run.json").read_text()))
    origin = ModelOrigin("base", checkpoint.base.digest)
    write_run_card(replace(card, weights=checkpoint.weights_digest, init=origin), folder)
    return folder


def test_another_base_than_it_was_trained_on_is_refused(
    trained_adapter: Path, copied: Path, make_model: Callable[..., Path]
) -> None:
    other = make_model("pythia", seed=7)
    assert opened(trained_adapter)
    for message in (refusal(trained_adapter, base=str(other)), _refusal_once_changed(trained_adapter, copied, other)):
        assert "was trained on a base with digest" in message
        assert "name that base by Model(…, base=…) or an option --…-base, or delete kdmem_run.json" in message
    (trained_adapter / "kdmem_run.json").unlink()
    assert opened(trained_adapter)


def _refusal_once_changed(adapter: Path, base: Path, other: Path) -> str:
    shutil.copyfile(other / "model.safetensors", base / "model.safetensors")
    return refusal(adapter)


def test_a_run_card_that_tells_of_no_other_base_refuses_nothing(trained_adapter: Path, copied: Path) -> None:
    settings = json.loads((copied / "tokenizer_config.json").read_text())
    (copied / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": "{{ messages }}"}))
    assert opened(trained_adapter), "the weights of its base are the same"
    (copied / "tokenizer_config.json").write_text(json.dumps(settings))
    save_file({name: tensor + 1 for name, tensor in TENSORS.items()}, trained_adapter / WEIGHTS)
    assert opened(trained_adapter), "it was trained again; audits warn of its card"
    (trained_adapter / "kdmem_run.json").write_text("{")
    assert opened(trained_adapter), "audits warn of a card that cannot be read"


def test_weights_of_the_base_and_of_the_adapter_are_digested_anew(make_adapter: Callable[..., Path]) -> None:
    folder = make_adapter()
    before = opened(folder)
    save_file({name: tensor + 1 for name, tensor in TENSORS.items()}, folder / WEIGHTS)
    assert before.weights_digest_again() != before.weights_digest


def test_a_tokenizer_of_its_own_goes_before_that_of_the_base(make_adapter: Callable[..., Path], tiny: Path) -> None:
    folder = make_adapter()
    content = json.loads((tiny / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {"normalizer": {"type": "Lowercase"}}))
    adapter = opened(folder)
    assert adapter.text_folder == folder
    assert adapter.text_digest != opened(tiny).text_digest


def test_rows_of_a_larger_embedding_count(make_adapter: Callable[..., Path], tiny: Path) -> None:
    larger = opened(tiny).vocabulary + 5
    tensors = TENSORS | {"base_model.model.gpt_neox.embed_in.weight": torch.zeros(larger, 4)}
    assert opened(make_adapter(tensors=tensors)).vocabulary == larger


def test_a_copy_in_another_dtype_is_one(make_adapter: Callable[..., Path], tiny: Path) -> None:
    first, second = opened(make_adapter("first")), make_adapter("second")
    save_file({name: tensor.half() for name, tensor in load_file(second / WEIGHTS).items()}, second / WEIGHTS)
    copy = opened(second)
    assert copy.weights_digest != first.weights_digest
    assert are_copies(first, copy)
    assert not are_copies(first, opened(tiny))
    assert not are_copies(opened(tiny), first)
    assert not are_copies(first, opened(make_adapter("third", lora_alpha=64)))


def test_a_whole_model_is_none(tiny: Path) -> None:
    assert read_adapter(tiny) is None
    with pytest.raises(SpecError, match=r"An adapter was expected in .* declares a base"):
        opened(tiny, base=str(tiny))


def test_a_base_that_is_not_there_is_told(make_adapter: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_adapter(base_model_name_or_path=str(tmp_path / "gone"))
    assert "The base of the adapter in" in (message := refusal(folder))
    assert "or name another place by Model(…, base=…)" in message


def test_an_adapter_of_an_adapter_is_refused(make_adapter: Callable[..., Path]) -> None:
    outer = make_adapter("outer", base_model_name_or_path=str(make_adapter("inner")))
    with pytest.raises(SpecError, match="if it is the base of another adapter, merge it into its own base"):
        opened(outer)


def test_a_folder_with_both_is_refused(make_adapter: Callable[..., Path], copied: Path) -> None:
    shutil.copy(make_adapter() / "adapter_config.json", copied / "adapter_config.json")
    assert "which holds both" in refusal(copied)


def test_pickled_weights_are_not_read(make_adapter: Callable[..., Path]) -> None:
    folder = make_adapter()
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    assert "there is only adapter_model.bin, which is pickled and never read" in refusal(folder)
    (folder / "adapter_model.bin").unlink()
    assert "and there are none; save it again" in refusal(folder)


def test_a_classifier_is_refused(make_adapter: Callable[..., Path]) -> None:
    assert "its adapter_config.json names another task" in refusal(make_adapter(task_type="SEQ_CLS"))


@pytest.mark.parametrize("name", ["base_model_name_or_path", "revision"])
def test_a_name_of_another_kind_is_refused(make_adapter: Callable[..., Path], name: str) -> None:
    assert "A name was expected as base and revision in" in refusal(make_adapter(**{name: 3}))


def test_no_base_is_told(make_adapter: Callable[..., Path]) -> None:
    assert "its adapter_config.json names none; name it by Model(…, base=…)" in refusal(
        make_adapter(base_model_name_or_path=None)
    )


def test_a_declared_base_goes_before_the_named_one(make_adapter: Callable[..., Path], tiny: Path) -> None:
    folder = make_adapter(base_model_name_or_path="nobody/nothing")
    assert replace(opened(folder, base=str(tiny)), folder=tiny).weights_folder == tiny
