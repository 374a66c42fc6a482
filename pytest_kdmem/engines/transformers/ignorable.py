"""Which stored tensors a model may leave out: those that it computes itself, and layers that only training uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

# Names that only layers for multi-token prediction have, which follow the last layer and serve training or speed.
PREDICTION_PARTS = (".eh_proj.", ".enorm.", ".hnorm.", ".shared_head.")
LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
CAUSAL_MASK = re.compile(r"\.(attn|attention|crossattention|self_attn)\.((attention\.)?bias|causal_mask)$")
# Masks hide by a number so low that its exponential is 0; older checkpoints hold it as a tensor.
LOWEST_SHOWN = -1e4


class Stored(Protocol):
    """A tensor in a file of weights."""

    @property
    def name(self) -> str: ...

    def read(self) -> Tensor: ...


def is_ignorable(stored: Stored, model: PreTrainedModel, names: Collection[str]) -> bool:
    """Whether a model without a place for this tensor computes the same as one with it.

    Values are compared wherever the model has such values itself: a rotary frequency or mask that differs belongs to
    another model.

    Args:
        stored: The tensor.
        model: The loaded model.
        names: Names of all stored tensors.
    """
    name = stored.name
    if name.endswith("inv_freq"):
        return _is_rotary(stored.read(), model)
    if name.endswith("position_ids"):
        ids = stored.read().flatten()
        return torch.equal(ids, torch.arange(len(ids)))
    if name.endswith("masked_bias"):
        value = stored.read()
        return value.numel() == 1 and float(value) <= LOWEST_SHOWN
    if CAUSAL_MASK.search(name):
        return _is_causal_mask(stored.read(), _attention_window(name, model))
    if name.endswith(".bias"):
        return False
    return _is_unused_part(name, model, names) or stored.read().numel() == 0


def _is_rotary(value: Tensor, model: PreTrainedModel) -> bool:
    """Whether rotary frequencies are those of the model, within the precision that they are stored in."""
    stored_in = torch.finfo(value.dtype)
    relative, absolute = 4 * stored_in.eps, stored_in.eps * stored_in.smallest_normal
    return any(
        own.shape == value.shape and torch.allclose(own.float(), value.float(), rtol=relative, atol=absolute)
        for own in _rotary_frequencies(model)
    )


def _rotary_frequencies(model: PreTrainedModel) -> Iterator[Tensor]:
    """The model's own frequencies; a module without memory (vLLM checks such a model) is made anew to compute them."""
    for module in model.modules():
        own = getattr(module, "inv_freq", None)
        if isinstance(own, Tensor):
            rotary: Any = module if own.device.type != "meta" else type(module)(module.config)
            yield rotary.inv_freq


def _attention_window(name: str, model: PreTrainedModel) -> int | None:
    """How many tokens a layer of GPT-Neo attends to; None if it attends to all before."""
    kinds, layer = getattr(model.config, "attention_layers", None), re.search(r"\.(\d+)\.", name)
    is_local = kinds is not None and layer is not None and kinds[int(layer[1])] == "local"
    return int(model.config.window_size) if is_local else None


def _is_causal_mask(value: Tensor, window: int | None) -> bool:
    """Whether a tensor is a square mask, alone or in dimensions of 1, that shows each token what it may attend to."""
    if value.ndim < 2 or value.shape[-1] != value.shape[-2] or value.numel() != value.shape[-1] ** 2:
        return False
    mask = value.reshape(value.shape[-2:]).float()
    expected = torch.ones_like(mask).tril()
    return torch.equal(mask, expected if window is None else expected.triu(1 - window))


def _is_unused_part(name: str, model: PreTrainedModel, names: Collection[str]) -> bool:
    """Whether the class itself leaves a part out: another modality, or layers that predict further tokens.

    Some classes name the layer after the last one of the released model. There a model of another depth has a layer as
    any other, so that the layer must hold what only layers for further tokens do.
    """
    patterns = model._keys_to_ignore_on_load_unexpected or ()
    if not any(re.search(pattern, name) for pattern in patterns):
        return False
    layer = LAYER.search(name)
    if layer is None or int(layer[1]) < int(getattr(model.config.get_text_config(), "num_hidden_layers", 0)):
        return True
    return any(layer[0] in other and part in other for other in names for part in PREDICTION_PARTS)
