"""Merges an adapter into its base in memory, and refuses one that does not fit or is not merged as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from pytest_kdmem.engines.protocol import files_changed
from pytest_kdmem.engines.transformers.failures import reason_of
from pytest_kdmem.engines.transformers.loaded import digest_tensor
from pytest_kdmem.engines.transformers.quiet import quiet_libraries
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.adapter import Adapter, merged_digest
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.layout import ADAPTER_CONFIG

# Logits of the merged and the unmerged model may differ by so many steps of the dtype at the highest logit.
MERGING_STEPS = {torch.float32: 2**11, torch.bfloat16: 2**4, torch.float16: 2**6}
COMPARED_TOKENS = 16


def merge_adapter(base: PreTrainedModel, adapter: Adapter, checkpoint: Checkpoint) -> PreTrainedModel:
    """The model that an adapter makes of its base, as one whole model.

    The adapter is run before it is merged, and both must give the same logits: a tied embedding or a kind of layer that
    merging treats otherwise would be another model.

    Args:
        base: The loaded base, in evaluation mode; its weights are changed.
        adapter: The adapter.
        checkpoint: Base and adapter together.

    Raises:
        EngineError: PEFT is not installed, the adapter does not fit the base, changes nothing in it, or cannot be
            merged.
    """
    from_pretrained, tensors_of = _peft(adapter)
    stored = _digested_tensors(adapter, checkpoint)
    if checkpoint.vocabulary > _rows(base):
        base.resize_token_embeddings(checkpoint.vocabulary, mean_resizing=False)
    before = _logits(base, base)
    with _fitting(adapter, checkpoint):
        adapted = from_pretrained(base, str(adapter.folder), is_trainable=False)
    adapted.eval()
    _check_tensors(stored, adapted, tensors_of(adapted, save_embedding_layers=False), adapter)
    unmerged = _logits(adapted, base)
    if torch.equal(unmerged, before):
        raise EngineError(
            f"An adapter that changes its base was expected in {adapter.folder}, and with it the base gives the same"
            " logits: it was not trained, or its weights are zero; audit the base itself."
        )
    with _fitting(adapter, checkpoint):
        _untie(adapted)
        merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    change = float((_logits(merged, merged) - unmerged).abs().max())
    spacing = torch.finfo(unmerged.dtype).eps * max(1.0, float(unmerged.abs().max()))
    if not change <= spacing * MERGING_STEPS[unmerged.dtype]:
        raise EngineError(
            f"The adapter in {adapter.folder} was expected to give the same logits once it is merged into its base, and"
            f" they change by up to {change:.2g}; merge it yourself, and audit the whole model as it is run."
        )
    return merged.requires_grad_(True)  # PEFT froze the base, and what is merged may be trained on


def _digested_tensors(adapter: Adapter, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of an adapter, if they are still those that were digested."""
    assert checkpoint.base is not None
    weights, tensors = adapter.read_weights(), load_file(adapter.weight_file)
    digest = merged_digest(checkpoint.base.weights_digest, adapter.digest(weights.digest))
    if (
        digest != checkpoint.weights_digest
        or {name: digest_tensor(t) for name, t in tensors.items()} != weights.tensors
    ):
        raise files_changed(str(adapter.folder))
    return tensors


def _peft(adapter: Adapter) -> tuple[Any, Any]:
    try:
        with quiet_libraries():
            from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise EngineError(
            f"The package peft was expected to load the adapter in {adapter.folder}, and it cannot be imported"
            f" ({type(error).__name__}): pip install 'pytest-kdmem[peft]'."
        ) from error
    return PeftModel.from_pretrained, get_peft_model_state_dict


@contextmanager
def _fitting(adapter: Adapter, checkpoint: Checkpoint) -> Iterator[None]:
    """Turn what PEFT raises into one sentence."""
    try:
        with quiet_libraries():  # what PEFT warns of is checked here
            yield
    except Exception as error:
        raise EngineError(
            f"An adapter of the model in {checkpoint.weights_folder} was expected in {adapter.folder}, and PEFT cannot"
            f" load or merge it ({reason_of(error)}): check the base that its {ADAPTER_CONFIG} names, or name"
            " another by Model(…, base=…) or an option --…-base."
        ) from error


def _check_tensors(stored: dict[str, Tensor], adapted: nn.Module, own: dict[str, Tensor], adapter: Adapter) -> None:
    """Check that a model holds each tensor of an adapter's file, and no other tensors of an adapter.

    Args:
        stored: The tensors in the file.
        adapted: The base with the adapter.
        own: The tensors of the adapter in it, by the names that they have in files.
        adapter: The adapter.

    Raises:
        EngineError: Tensors are missing, have no place, or are others than those in the file.
    """
    # Files of larger embeddings hold those that an adapter replaces twice.
    places = adapted.state_dict() | {_wrapped(name): tensor for name, tensor in own.items()}
    missing = sorted(own.keys() - stored.keys())
    dropped = sorted(name for name in stored if name not in own and name not in places)
    if missing or dropped:
        raise EngineError(
            f"A place for every weight of the adapter in {adapter.folder} was expected in its base, and"
            f" {len(missing)} weights are missing and {len(dropped)} have no place (first: {(missing + dropped)[0]});"
            f" check the base that its {ADAPTER_CONFIG} names, or save the adapter again."
        )
    for name, tensor in stored.items():
        place = own[name] if name in own else places[name]
        if place.shape != tensor.shape or not torch.equal(place, tensor.to(place.dtype)):
            raise EngineError(
                f"The weights of the adapter in {adapter.folder} were expected in the loaded model, and {name}"
                " differs; save the adapter again."
            )


def _wrapped(name: str) -> str:
    module, _, parameter = name.rpartition(".")
    return f"{module}.modules_to_save.{parameter}"


def _untie(adapted: nn.Module) -> None:
    """Give a head that shares its base weight with the embedding a weight of its own, so that merging changes one."""
    model: Any = adapted.get_base_model()  # type: ignore[operator]
    embedding, head = (_innermost(part) for part in (model.get_input_embeddings(), model.get_output_embeddings()))
    if head is None or embedding is None or head.weight is not embedding.weight:
        return
    head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False


def _innermost(module: Any) -> Any:
    """The layer of the base in the wrappers of PEFT."""
    while (inner := getattr(module, "original_module", None) or getattr(module, "base_layer", None)) is not None:
        module = inner
    return module


@torch.inference_mode()
def _logits(model: nn.Module, base: PreTrainedModel) -> Tensor:
    """Logits ``[1, tokens, vocabulary]`` of a model for token ids that are the same each time."""
    ids = torch.randint(0, _rows(base), (1, COMPARED_TOKENS), generator=torch.Generator().manual_seed(0))
    logits: Tensor = model(input_ids=ids.to(base.device), use_cache=False).logits
    return logits


def _rows(model: PreTrainedModel) -> int:
    """Number of token ids that a model has embeddings of."""
    embedding: Any = _innermost(model.get_input_embeddings())
    return int(embedding.weight.shape[0])
