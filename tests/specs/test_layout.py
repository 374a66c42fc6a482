"""Folders that hold something else than a whole model are refused by what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.specs.model_folder import WEIGHTS, change_json, digest, refusal


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_pickled_weights_are_told_to_be_so_without_a_configuration_too(copied: Path, name: str) -> None:
    (copied / WEIGHTS).rename(copied / name)
    (copied / "config.json").unlink()
    assert f"holds only pickled ones ({name})" in refusal(copied)


def test_the_layout_of_a_maker_is_told_to_be_so(copied: Path) -> None:
    (copied / WEIGHTS).rename(copied / "consolidated.safetensors")
    (copied / "config.json").rename(copied / "params.json")
    assert "in its maker's (params.json); convert it" in refusal(copied)


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "consolidated.safetensors", "pytorch_model.safetensors"])
def test_weights_of_another_name_are_named(copied: Path, name: str) -> None:
    (copied / WEIGHTS).rename(copied / name)
    assert f"there is {name} only" in refusal(copied)


@pytest.mark.parametrize(
    ("file", "key"), [("config.json", "configuration_files"), ("tokenizer_config.json", "fast_tokenizer_files")]
)
def test_settings_that_name_other_files_by_version_are_refused(copied: Path, file: str, key: str) -> None:
    change_json(copied / file, **{key: ["config.4.0.0.json"]})
    assert f"names other files by the version of transformers ({key})" in refusal(copied)


def test_code_of_another_repository_is_refused_where_code_may_run(copied: Path) -> None:
    change_json(copied / "config.json", auto_map={"AutoModelForCausalLM": "owner/name--modeling.Own"})
    assert open_checkpoint(Model(str(copied))).folder == copied
    with pytest.raises(SpecError, match=r"that of another repository \(owner/name--modeling\.Own\)"):
        open_checkpoint(Model(str(copied), trust_remote_code=True))


def test_code_in_a_folder_below_belongs_to_the_digest(copied: Path) -> None:
    (copied / "code").mkdir()
    (copied / "code" / "modeling.py").write_text("A = 1\n")
    before = digest(copied)
    (copied / "code" / "modeling.py").write_text("A = 2\n")
    assert digest(copied) != before


@pytest.mark.parametrize("dtype", ["floaty16", "torch.float16", "float8_e4m3fn", 16, ["float32"]])
def test_a_dtype_that_torch_has_not_is_refused_before_anything_loads(copied: Path, dtype: object) -> None:
    change_json(copied / "config.json", dtype=dtype)
    assert f"was expected as dtype in {copied / 'config.json'}; found {dtype!r}." in refusal(copied)


@pytest.mark.parametrize("dtype", ["bfloat16", "auto", None, {"text_config": "bfloat16"}])
def test_other_ways_to_give_a_dtype_are_read(copied: Path, dtype: object) -> None:
    change_json(copied / "config.json", dtype=dtype)
    assert open_checkpoint(Model(str(copied))).dtype == ("bfloat16" if dtype == "bfloat16" else "float32")


def test_a_whole_model_in_a_folder_of_the_hub_is_left_alone(copied: Path, tmp_path: Path) -> None:
    linked = tmp_path / "snapshot"
    linked.mkdir()
    for file in copied.iterdir():
        (linked / file.name).symlink_to(file)
    shutil.copy(copied / WEIGHTS, linked / "consolidated.safetensors")
    assert digest(linked) == digest(copied)
