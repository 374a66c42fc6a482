"""The longest sequence that a model reads, by its configuration alone, without a look at its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.layout import CONFIG, read_model_json
from pytest_kdmem.specs.locations import locate, looks_like_hub_id
from pytest_kdmem.specs.model_settings import first_whole_number

POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


def text_config_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the part of a model that reads text."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else dict(config)


def positions_by_config(config: Mapping[str, Any], folder: Path) -> int | None:
    """The longest sequence in tokens; None if the architecture has no limit.

    Raises:
        SpecError: It is no whole number.
    """
    return first_whole_number(text_config_of(config), POSITION_KEYS, folder)


def positions_at_a_look(model: Model, *, offline: bool) -> int | None:
    """The longest sequence of a whole model in a folder; None where more must be opened to know it.

    Raises:
        SpecError: There is no such folder, or its configuration is damaged.
    """
    if looks_like_hub_id(model.source) and not offline:
        return None
    folder = locate(model, offline=offline)
    if not (folder / CONFIG).is_file():
        return None
    return positions_by_config(read_model_json(folder / CONFIG, "a model's configuration"), folder)
