"""Finds what a GGUF file holds and transformers passes over in silence, which would make it another model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

# Settings that tensors' shapes tell as well, so that a model of others does not load.
TOLD_BY_SHAPES = frozenset({"vocab_size", "rope.dimension_count", "attention.key_length", "attention.value_length"})
# Factors by which rotary frequencies are divided; ones change nothing.
ROPE_FACTORS = "rope_freqs.weight"
# Values of settings that change nothing.
INERT_VALUES = {"rope.scaling.type": "none", "attention.causal": True, "rope.scaling.factor": 1.0}


def passed_over(model: PreTrainedModel, file: Path) -> list[str]:
    """Names of tensors and settings of a file that the model loaded from it does not heed."""
    from gguf import GGUFReader

    reader: Any = GGUFReader(file)
    architecture = str(reader.get_field("general.architecture").contents())
    kinds = {architecture, architecture.replace("-", "_"), str(model.config.model_type)}
    own_mappings: dict[str, Any] = GGUF_CONFIG_MAPPING
    mappings = [own_mappings[kind] for kind in sorted(kinds) if kind in own_mappings]
    if not mappings:  # transformers reads these by another way, and tells what it has no place for
        return []
    heeded = {name for mapping in mappings for name, setting in mapping.items() if setting not in (None, -1)}
    return [*_tensors(model, reader, architecture), *_settings(reader, f"{architecture}.", heeded | TOLD_BY_SHAPES)]


def _tensors(model: PreTrainedModel, reader: Any, architecture: str) -> Iterator[str]:
    processor_class: Any = TENSOR_PROCESSORS.get(architecture, TensorProcessor)
    processor = processor_class(config={})
    places = get_gguf_hf_weights_map(model, processor)
    for tensor in reader.tensors:
        is_inert = tensor.name == ROPE_FACTORS and bool(np.all(np.asarray(tensor.data) == 1))
        if tensor.name not in places and not is_inert:
            yield tensor.name


def _settings(reader: Any, prefix: str, heeded: set[str]) -> Iterator[str]:
    for key in reader.fields:
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name in heeded:
            continue
        value = reader.get_field(key).contents()
        if name not in INERT_VALUES or value != INERT_VALUES[name]:
            yield key
