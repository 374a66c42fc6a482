"""Reads what an adapter of PEFT says of itself: which base it is of, and what it changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.layout import ADAPTER_CONFIG, read_model_json
from pytest_kdmem.specs.weights import SINGLE, WEIGHT_INDEX, Weights, read_weight_files

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLED_WEIGHTS = "adapter_model.bin"
# Settings that say where the base lay or which program wrote the adapter, and not what it computes.
INERT_KEYS = ("base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version")
# Adapters of classifiers and encoders have heads that no causal language model has.
TASKS = ("CAUSAL_LM", None)


@dataclass(frozen=True)
class Adapter:
    """An adapter in a folder.

    Attributes:
        folder: The folder.
        base: Source of its base by its own words; None if it names none.
        revision: Revision of a base on the hub.
        settings: What it computes: its configuration without what is inert.
    """

    folder: Path
    base: str | None
    revision: str | None
    settings: Mapping[str, Any]

    @property
    def weight_file(self) -> Path:
        """The file of its tensors."""
        return self.folder / ADAPTER_WEIGHTS

    def read_weights(self) -> Weights:
        """Digest its tensors; the file is read once, as long as it stays the same.

        Raises:
            SpecError: The weights are damaged.
        """
        return read_weight_files([self.weight_file])

    def digest(self, tensors: str) -> str:
        """Digest of what it computes, given that of its tensors."""
        return digest_of([tensors, self.settings])


def read_adapter(folder: Path) -> Adapter | None:
    """Read the adapter in a folder; None if the folder holds none.

    Raises:
        SpecError: The adapter has no safetensors weights, is of another task, or lies beside a whole model.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return None
    config = read_model_json(path, "an adapter's configuration")
    if any((folder / name).is_file() for name in (SINGLE, WEIGHT_INDEX)):
        raise SpecError(
            f"A whole model or an adapter was expected in {folder}, which holds both; move one of them into a folder of"
            " its own."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = (folder / PICKLED_WEIGHTS).is_file()
        present = f"there is only {PICKLED_WEIGHTS}, which is pickled and never read" if pickled else "there are none"
        raise SpecError(
            f"Weights of an adapter were expected as {ADAPTER_WEIGHTS} in {folder}, and {present}; save it again with"
            " save_pretrained."
        )
    if config.get("task_type") not in TASKS:
        raise SpecError(
            f"An adapter of a causal language model was expected in {folder}, and its {ADAPTER_CONFIG} names another"
            " task; audit the adapter that generates text."
        )
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, (str, type(None))) or not isinstance(revision, (str, type(None))):
        raise SpecError(f"A name was expected as base and revision in {path}; save the adapter again.")
    return Adapter(
        folder, base or None, revision, {key: value for key, value in config.items() if key not in INERT_KEYS}
    )
