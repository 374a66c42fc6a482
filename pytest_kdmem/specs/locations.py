"""Finds the folder of a model, which the hub may have."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_kdmem.base.paths import exists, is_file, is_folder, local_path
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.gguf import ENDING

HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[\w][\w.-]{0,95}", re.ASCII)
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")


def locate(model: Model, *, offline: bool = False) -> Path:
    """The folder of a model, or its GGUF file; a hub id's is downloaded (safetensors only) unless ``offline``.

    Raises:
        SpecError: There is no such folder, or the model cannot be downloaded.
    """
    folder = local_path(model.source)
    if is_folder(folder) or (folder.suffix == ENDING and is_file(folder)):
        return folder.resolve()
    if not looks_like_hub_id(model.source):
        there = "a file is there" if is_file(folder) else "there is none"
        raise SpecError(f"A model folder was expected at {named(model.source)}, and {there}; check the path.")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model.source, revision=model.revision, allow_patterns=list(HUB_PATTERNS), local_files_only=offline
            )
        )
    except (OSError, ValueError) as error:
        way_out = "drop --kdmem-offline to download it" if offline else "check the name, the network and your access"
        raise SpecError(
            f"Model {model.source} was expected as a folder or on the hub and was found at neither"
            f" ({type(error).__name__}); {way_out}."
        ) from error


def looks_like_hub_id(source: str) -> bool:
    """Whether a source that is no folder can be a hub id: ``owner/name``, if there is no local folder ``owner``."""
    return HUB_ID.fullmatch(source) is not None and not exists(Path(source.partition("/")[0]))
