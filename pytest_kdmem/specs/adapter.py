"""Reads what an adapter of PEFT says of itself: which base it is of, and what it changes in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import last_part
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.layout import ADAPTER_CONFIG, read_model_json
from pytest_kdmem.specs.locations import locate
from pytest_kdmem.specs.safetensors_header import read_entries
from pytest_kdmem.specs.weights import SINGLE, WEIGHT_INDEX, Weights, read_weight_files

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLED_WEIGHTS = "adapter_model.bin"
# Settings that say where the base lay or which program wrote the adapter, and not what it computes.
INERT_KEYS = ("base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version")
# Settings that are sets of names, which PEFT writes in any order.
SETS_OF_NAMES = ("target_modules", "exclude_modules", "modules_to_save", "feedforward_modules")
# Names of embeddings and heads in the classes of transformers, of which an adapter may hold a larger one.
EMBEDDING = re.compile(
    r"\.(embed_tokens|embed_in|embed_out|wte|word_embeddings|tok_embeddings|lm_head)(\.base_layer)?\.weight$"
)
# Adapters of classifiers and encoders have heads that no causal language model has.
TASKS = ("CAUSAL_LM", None)


@dataclass(frozen=True)
class Adapter:
    """An adapter in a folder.

    Attributes:
        folder: The folder.
        base: Source of its base by its own words; None if it names none.
        revision: Revision of a base on the hub.
        settings: What it computes: its configuration without what is inert, with sets of names in one order.
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

    def embedding_rows(self) -> list[int]:
        """Rows of the embeddings and heads that it holds whole, as one of a larger vocabulary does."""
        return [
            entry.shape[0]
            for entry in read_entries(self.weight_file)
            if len(entry.shape) == 2 and EMBEDDING.search(entry.name)
        ]

    def digest(self, tensors: str) -> str:
        """Digest of what it computes, given that of its tensors."""
        return digest_of([tensors, self.settings])


def is_adapter(model: Model, *, offline: bool) -> bool:
    """Whether the folder of a model holds an adapter; a hub id's is downloaded unless ``offline``.

    Raises:
        SpecError: There is no such folder, or the model cannot be downloaded.
    """
    return (locate(model, offline=offline) / ADAPTER_CONFIG).is_file()


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
    settings = {key: _in_order(key, value) for key, value in config.items() if key not in INERT_KEYS}
    return Adapter(folder, base or None, revision, settings)


def _in_order(key: str, value: Any) -> Any:
    return sorted(value, key=str) if key in SETS_OF_NAMES and isinstance(value, list) else value


def notes_on_base(adapter: Adapter | None, source: str) -> tuple[str, ...]:
    """What a reader of verdicts must know of an adapter's base; empty of a whole model, or where names agree.

    Args:
        adapter: The adapter.
        source: The base that it is merged into, as declared.
    """
    if adapter is None or adapter.base is None or last_part(adapter.base) == last_part(source):
        return ()
    own, used = named(last_part(adapter.base)), named(last_part(source))
    return (f"the adapter names {own} as its base, and is merged into {used}: with another base it may recite less",)


def merged_digest(base: str, adapter: str) -> str:
    """Digest of the weights of a base and of the adapter that is merged into them."""
    return digest_of([base, adapter])
