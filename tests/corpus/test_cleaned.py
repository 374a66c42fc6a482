"""A cleaned copy is told by the manifest beside it, as long as both belong together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.corpus.cleaned import KIND, cleaned_from
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import TrainingSet


@pytest.fixture
def manifest(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n')
    written = training_fingerprint(TrainingSet(tmp_path / "train.jsonl"))
    return {"kind": KIND, "training_set": {"fingerprint": "f"}, "written": {"fingerprint": written}}


def told(folder: Path, manifest: object) -> str | None:
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return cleaned_from(TrainingSet(folder / "train.jsonl"))


def test_a_manifest_tells_the_set_that_was_cleaned(tmp_path: Path, manifest: dict[str, Any]) -> None:
    assert cleaned_from(TrainingSet(tmp_path / "train.jsonl")) is None
    assert told(tmp_path, manifest) == "f"


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest.update(kind="other"),
        lambda manifest: manifest["training_set"].pop("fingerprint"),  # as earlier versions wrote it
        lambda manifest: manifest["training_set"].update(fingerprint=None),
        lambda manifest: manifest["written"].update(fingerprint="0" * 32),
        lambda manifest: manifest["written"].update(fingerprint=None),
        lambda manifest: manifest.update(written=[]),
    ],
    ids=["another kind", "an earlier version", "no fingerprint", "of others", "of nothing", "damaged"],
)
def test_a_manifest_of_something_else_tells_nothing(
    tmp_path: Path, manifest: dict[str, Any], damage: Callable[[dict[str, Any]], object]
) -> None:
    damage(manifest)
    assert told(tmp_path, manifest) is None


def test_what_is_no_manifest_and_what_lies_elsewhere_tell_nothing(tmp_path: Path, manifest: dict[str, Any]) -> None:
    assert told(tmp_path, [manifest]) is None
    assert cleaned_from(TrainingSet("s3://bucket/train.jsonl")) is None
    assert cleaned_from(TrainingSet("owner/data")) is None


def test_a_set_that_was_changed_or_is_read_otherwise_is_not_the_one_that_was_written(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    assert told(tmp_path, manifest) == "f"
    assert cleaned_from(TrainingSet(tmp_path / "train.jsonl", form="blocks")) is None
    assert cleaned_from(TrainingSet(tmp_path / "train.jsonl", text_column="body")) is None
    (tmp_path / "train.jsonl").write_text('{"text": "b"}\n')
    assert cleaned_from(TrainingSet(tmp_path / "train.jsonl")) is None
