"""Looks at what lies where a model is said to be, without reading weights, so that a slip is told at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_kdmem.base.paths import is_folder
from pytest_kdmem.specs.adapter import read_adapter
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.gguf import ENDING, find_gguf
from pytest_kdmem.specs.layout import ADAPTER_CONFIG, CONFIG, check_layout
from pytest_kdmem.specs.locations import locate, looks_like_hub_id


def check_model_place(model: Model, *, offline: bool = False) -> None:
    """Check that a model, and the base that is declared for it, lie where they are said to.

    The hub is not asked; with ``offline``, what was downloaded of it earlier is looked at.

    Raises:
        SpecError: There is no such folder, or it holds something else than a model.
    """
    base = [replace(model, source=model.base, revision=None, base=None)] if model.base is not None else []
    for declared in (model, *base):
        if offline or not looks_like_hub_id(declared.source):
            folder = locate(declared, offline=offline)
            if find_gguf(folder) is None and read_adapter(folder) is None:
                check_layout(folder)


def holds_model(folder: Path) -> bool:
    """Whether a folder holds the configuration of a model or of an adapter, or weights."""
    if not is_folder(folder):
        return False
    names = {path.name for path in folder.iterdir()}
    return bool(names & {CONFIG, ADAPTER_CONFIG}) or any(name.endswith((".safetensors", ENDING)) for name in names)
