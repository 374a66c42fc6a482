"""A model is found in its folder, in its GGUF file or on the hub, and elsewhere nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.locations import locate, looks_like_hub_id


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("source", ["owner/name", "EleutherAI/pythia-14m", "a/b.c_d-e", "0/1"])
def test_an_owner_and_a_name_may_be_on_the_hub(source: str) -> None:
    assert looks_like_hub_id(source)


@pytest.mark.parametrize(
    "source",
    [
        *(
            "name",
            "runs/of/student",
            "/runs/student",
            "./student",
            "../student",
            "owner/",
            "-owner/name",
            "owner/-name",
        ),
        *("s3://bucket/model", "owner/näme", f"owner/{'n' * 97}", "owner/na me"),
    ],
)
def test_any_other_path_is_a_path(source: str) -> None:
    assert not looks_like_hub_id(source)


def test_what_lies_below_a_folder_of_this_machine_is_not_asked_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert not looks_like_hub_id("runs/student")
    with pytest.raises(SpecError, match="A model folder was expected at runs/student, and there is none; check the"):
        locate(Model("runs/student"), offline=True)


def test_a_folder_is_found_before_the_hub_is_asked(tmp_path: Path) -> None:
    folder = tmp_path / "owner/name"
    folder.mkdir(parents=True)
    assert locate(Model("owner/name")) == folder.resolve()


def test_of_files_only_those_of_gguf_are_models(tmp_path: Path) -> None:
    for name in ("model.gguf", "model.bin"):
        (tmp_path / name).write_bytes(b"")
    assert locate(Model("model.gguf")) == (tmp_path / "model.gguf").resolve()
    with pytest.raises(SpecError, match="and a file is there"):
        locate(Model("model.bin"))


def test_offline_a_model_of_the_hub_that_is_not_stored_is_refused_with_the_way_out() -> None:
    with pytest.raises(SpecError, match=r"found at neither \(\w+\); drop --kdmem-offline to download it"):
        locate(Model("kdmem-nobody/kdmem-no-model"), offline=True)
