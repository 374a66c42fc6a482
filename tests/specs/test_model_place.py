"""What lies where a model is said to be is told without its weights being read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.model_place import check_model_place, holds_model
from tests.specs.model_folder import WEIGHTS


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder whose weights are damaged, which shows only when they are read."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / WEIGHTS).write_bytes(b"damaged")
    return folder


@pytest.fixture
def adapter(tmp_path: Path, model: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"task_type": "CAUSAL_LM", "base_model_name_or_path": str(model)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    return folder


def test_weights_are_not_read(model: Path, adapter: Path) -> None:
    check_model_place(Model(str(model)))
    check_model_place(Model(str(adapter)))
    check_model_place(Model(str(adapter), base=str(model)))


def test_a_gguf_file_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"damaged")
    check_model_place(Model(str(tmp_path / "model.gguf")))
    check_model_place(Model(str(tmp_path)))


def test_what_is_not_there_or_is_something_else_is_refused(tmp_path: Path, adapter: Path) -> None:
    with pytest.raises(SpecError, match="nowhere, and there is none"):
        check_model_place(Model(str(tmp_path / "nowhere")))
    with pytest.raises(SpecError, match="nowhere, and there is none"):
        check_model_place(Model(str(adapter), base=str(tmp_path / "nowhere")))
    (tmp_path / "data.jsonl").write_text("")
    with pytest.raises(SpecError, match=r"data.jsonl, and a file is there"):
        check_model_place(Model(str(tmp_path / "data.jsonl")))
    (tmp_path / "folder").mkdir()
    shutil.move(tmp_path / "data.jsonl", tmp_path / "folder")
    with pytest.raises(SpecError, match="it holds a dataset"):
        check_model_place(Model(str(tmp_path / "folder")))


def test_the_hub_is_asked_only_for_what_was_downloaded() -> None:
    check_model_place(Model("someone/there-is-no-such-model"))
    with pytest.raises(SpecError, match="drop --kdmem-offline"):
        check_model_place(Model("someone/there-is-no-such-model"), offline=True)


def test_a_folder_of_a_model_is_known_by_its_files(tmp_path: Path, model: Path, adapter: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text("{}")
    known = [folder for folder in sorted(tmp_path.iterdir()) if holds_model(folder)]
    assert known == [adapter, model]
    assert not holds_model(model / "config.json")
    assert not holds_model(tmp_path / "nowhere")
