"""Tells folders of models that cannot be audited apart, and says what each of them holds instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.base.paths import read_text
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.folder_kind import folder_kind, is_training_state

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
PICKLED_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")


def check_layout(folder: Path) -> None:
    """Check that a folder holds a whole model in the layout of transformers, with weights as safetensors.

    Raises:
        SpecError: It holds something else: an adapter, pickled weights, or a model in its maker's layout.
    """
    if (folder / ADAPTER_CONFIG).is_file():
        raise SpecError(
            f"A whole model was expected in {folder}, which holds an adapter ({ADAPTER_CONFIG}); if it is the base of"
            " another adapter, merge it into its own base (merge_and_unload), and save the whole."
        )
    names = sorted(path.name for path in folder.iterdir())
    safetensors = [name for name in names if name.endswith((".safetensors", ".safetensors.index.json"))]
    if not safetensors:
        _check_other_weights(folder, names)
        if CONFIG not in names:  # else files are looked for that the configuration may name
            raise SpecError(f"Weights of a model were expected in {folder}, and {folder_kind(folder)}.")
    if CONFIG not in names and "params.json" in names:
        raise SpecError(
            f"A model in the layout of transformers was expected in {folder}, which holds one in its maker's"
            " (params.json); convert it, and save it with save_pretrained."
        )


def _check_other_weights(folder: Path, names: list[str]) -> None:
    """Refuse weights of another format in a folder without safetensors."""
    if files := [name for name in names if name.endswith(PICKLED_ENDINGS) and not is_training_state(name)]:
        raise SpecError(
            f"Weights were expected as safetensors in {folder}, which holds only pickled ones ({files[0]}); pickle"
            " can run code, so it is never read: save the model again with save_pretrained."
        )


def check_no_redirects(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse settings by which transformers reads other files in place of those that are digested.

    Raises:
        SpecError: The configuration or the tokenizer's settings name files by the version of transformers.
    """
    tokenizer = folder / "tokenizer_config.json"
    settings = read_model_json(tokenizer, "tokenizer settings") if tokenizer.is_file() else {}
    for path, content, key in (
        (folder / CONFIG, config, "configuration_files"),
        (tokenizer, settings, "fast_tokenizer_files"),
    ):
        if key in content:
            raise SpecError(
                f"All settings were expected in {path}, which names other files by the version of transformers ({key});"
                " keep those of the version that the model was trained with, and remove that key."
            )


def check_own_code(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse modelling code of another repository, which may be another tomorrow.

    Raises:
        SpecError: The configuration names such code.
    """
    code = config.get("auto_map")
    foreign = (
        [name for name in code.values() if isinstance(name, str) and "--" in name] if isinstance(code, dict) else []
    )
    if foreign:
        raise SpecError(
            f"Modelling code was expected in {folder}, and auto_map in its {CONFIG} names that of another repository"
            f" ({foreign[0]}); copy the code into the folder, and name it without the repository."
        )


def read_model_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object from a model folder; ``what`` is what messages call it, with an article.

    Raises:
        SpecError: There is no such file, or it holds no JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise SpecError(f"{what.capitalize()} was expected at {path}, and there is no such file.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{what.capitalize()} was expected in {path}, which is no valid JSON ({error}).") from None
    if not isinstance(content, dict):
        raise SpecError(f"{what.capitalize()} was expected in {path}, which holds no JSON object.")
    return content
