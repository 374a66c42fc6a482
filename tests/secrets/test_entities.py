"""Labels of public models stand for names and addresses, and a model without such labels is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.secrets import entities as module
from pytest_kdmem.secrets.entities import EntityModel


def model_with(folder: Path, config: Any) -> EntityModel:
    (folder / "config.json").write_text(json.dumps(config))
    return EntityModel(str(folder), offline=True)


@pytest.mark.parametrize(
    ("label", "secret_class"),
    [
        ("B-PER", "name"), ("I-private_person", "name"), ("FIRSTNAME", "name"), ("S-LastName2", "name"),
        ("B-private_address", "address"), ("street_address", "address"), ("ZIPCODE", "address"),
        ("B-LOC", None), ("GPE", None), ("USERNAME", None), ("O", None), ("email_address", None),
    ],
)  # fmt: skip
def test_a_label_stands_for_a_class_or_for_none(tmp_path: Path, label: str, secret_class: str | None) -> None:
    model = model_with(tmp_path, {"id2label": {"0": "O", "1": "PER", "2": label}})
    assert model.class_of_label.get(2) == secret_class


@pytest.mark.parametrize("config", [{}, [], {"id2label": {}}, {"id2label": {"0": "LOC"}}, {"id2label": {"x": "PER"}}])
def test_a_model_without_labels_of_either_is_refused(tmp_path: Path, config: Any) -> None:
    with pytest.raises(SpecError, match="labels of names or addresses"):
        _ = model_with(tmp_path, config).class_of_label


def test_another_file_is_another_model(tmp_path: Path) -> None:
    identity = model_with(tmp_path, {"id2label": {"0": "PER"}}).identity
    assert model_with(tmp_path, {"id2label": {"0": "PER"}}).identity == identity
    assert model_with(tmp_path, {"id2label": {"1": "PER"}}).identity != identity


def test_the_identity_is_of_the_version_of_transformers_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = model_with(tmp_path, {"id2label": {"0": "PER"}}).identity
    monkeypatch.setattr(module, "installed_version", lambda distribution: f"another of {distribution}")
    assert model_with(tmp_path, {"id2label": {"0": "PER"}}).identity != identity
