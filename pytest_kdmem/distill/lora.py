"""Trains an adapter of PEFT (LoRA) in place of a model's own weights, and writes it as PEFT reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.engines.transformers.quiet import quiet_libraries
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.adapter import ADAPTER_WEIGHTS
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.locations import looks_like_hub_id

ALL_LINEAR = "all-linear"
# What an adapter adds is multiplied by alpha / rank. The learning rate has the effect of another factor than this.
ALPHA_OF_RANK = 2
ADAPTABLE = (nn.Linear, Conv1D, nn.Embedding)


def add_adapter(model: PreTrainedModel, recipe: Recipe) -> None:
    """Put a new adapter into a model, and freeze all other weights.

    The adapter changes nothing until it is trained. It depends on the seed of the recipe alone.

    Raises:
        SpecError: The recipe names a layer that the model does not have or that is not adapted here.
    """
    from peft import inject_adapter_in_model

    config = _configuration(model, recipe)
    with torch.random.fork_rng(devices=[]), quiet_libraries():
        torch.manual_seed(recipe.seed)
        inject_adapter_in_model(config, model)


def write_adapter(
    weights: dict[str, Tensor], base: PreTrainedModel, recipe: Recipe, init: Model, checkpoint: Checkpoint, folder: Path
) -> None:
    """Write a trained adapter to a folder.

    Args:
        weights: Trained weights by the names that they have in a model with the adapter.
        base: The model that training started from, newly loaded; it is changed.
        recipe: Settings of the training.
        init: That model as it was declared.
        checkpoint: Its files.
        folder: The folder.
    """
    from peft import get_peft_model, get_peft_model_state_dict

    with quiet_libraries():
        adapted: Any = get_peft_model(base, _configuration(base, recipe))
    unexpected = adapted.get_base_model().load_state_dict(weights, strict=False).unexpected_keys
    assert not unexpected, unexpected
    # Embeddings are frozen, and PEFT would save those that are adapted as a whole.
    tensors = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / ADAPTER_WEIGHTS)
    config = adapted.peft_config["default"]
    config.inference_mode = True
    config.base_model_name_or_path, config.revision = _origin(init, checkpoint)
    config.save_pretrained(str(folder))


def _configuration(model: PreTrainedModel, recipe: Recipe) -> Any:
    from peft import LoraConfig

    assert recipe.lora_rank is not None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora_rank,
        lora_alpha=ALPHA_OF_RANK * recipe.lora_rank,
        target_modules=_targets(model, recipe.lora_target or ALL_LINEAR),
    )


def _targets(model: PreTrainedModel, names: str) -> str | list[str]:
    """Names of layers as PEFT takes them.

    Raises:
        SpecError: A name is that of no layer that can be adapted, or that of the head, of which the loss is computed
            from its own weight alone.
    """
    if names == ALL_LINEAR:
        return ALL_LINEAR
    head, layers = model.get_output_embeddings(), dict(model.named_modules())
    adaptable = {name for name, layer in layers.items() if isinstance(layer, ADAPTABLE) and layer is not head}
    targets = names.split(",")
    for target in targets:
        named = {name for name in layers if name == target or name.endswith(f".{target}")}
        if not named or not named <= adaptable:
            last_parts = sorted({name.rpartition(".")[2] for name in adaptable})
            raise SpecError(
                f"Layers before the head of {type(model).__name__} were expected as lora-target ({ALL_LINEAR}, or of"
                f" {', '.join(last_parts)}, separated by commas); found {quoted(target)}."
            )
    return targets


def _origin(init: Model, checkpoint: Checkpoint) -> tuple[str, str | None]:
    """Where PEFT finds the base from any place: its absolute path, or its hub id and commit."""
    if looks_like_hub_id(init.source):
        return init.source, checkpoint.folder.name
    return str(checkpoint.folder), None
