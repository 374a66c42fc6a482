"""Model folders of a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.specs.model_folder import WEIGHTS


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to be changed."""
    return Path(shutil.copytree(tiny, tmp_path / "copied"))


@pytest.fixture
def sharded(tiny: Path, copied: Path) -> Path:
    """The tiny model with its weights in several files."""
    from transformers import AutoModelForCausalLM

    (copied / WEIGHTS).unlink()
    AutoModelForCausalLM.from_pretrained(tiny).save_pretrained(copied, max_shard_size="20KB")
    assert len(list(copied.glob("*.safetensors"))) > 1
    return copied
