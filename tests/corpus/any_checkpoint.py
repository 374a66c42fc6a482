"""A checkpoint of a folder that has a tokenizer and no weights."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_kdmem.specs.checkpoint import Checkpoint


def checkpoint_of(folder: Path) -> Checkpoint:
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    return Checkpoint(folder, "model", "tokenizer", "text", 0, 0, None, "float32", "any", config=config)
