"""What tests of model folders share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model

WEIGHTS = "model.safetensors"


def digest(folder: Path) -> str:
    return open_checkpoint(Model(str(folder))).digest


def refusal(folder: Path | str, **declared: str) -> str:
    """The one sentence with which a folder is refused, with further arguments of `Model`."""
    with pytest.raises(SpecError) as caught:
        open_checkpoint(Model(str(folder), **declared), offline=True)  # type: ignore[arg-type]
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def change_json(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
