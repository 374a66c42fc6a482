"""Splits a causal model into backbone and head, so that the head runs only over the positions it is needed for."""

from __future__ import annotations

from copy import deepcopy
from inspect import signature
from threading import get_ident, local
from typing import cast

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from pytest_kdmem.errors import EngineError


class StandardHead:
    """Backbone and language-model head of one model.

    Raises:
        EngineError: Backbone and head together do not give the model's own logits, so its head is not a standard one;
            or a logit depends on later tokens.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        self._backbone, self.linear = backbone_and_head(model)
        self._multiplier = float(getattr(config, "logit_scale", None) or 1.0)
        self._divisor = float(getattr(config, "logits_scaling", None) or 1.0)
        self.soft_cap: float | None = getattr(config, "final_logit_softcapping", None)
        self._is_foreign = bool(getattr(model, "is_quantized", False))
        self._check(model)

    def backbone(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """Last hidden states ``[batch, tokens, width]`` of token ids ``[batch, tokens]``.

        Args:
            ids: Token ids.
            positions: Position of each token, for models that accept them; None for positions from 0.
        """
        optional = {} if positions is None else {"position_ids": positions}
        hidden: Tensor = self._backbone(input_ids=ids, use_cache=False, **optional).last_hidden_state
        return hidden

    def step(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        """Last hidden states ``[batch, tokens, width]`` of tokens behind those of a cache, and the cache with both.

        A model that keeps none, or one of which rows cannot be taken out, returns None in its place: it is to be run
        again on all tokens.
        """
        # transformers 5.24 calls the cache by another name than 5.16, and ignores the old name in some models.
        name = "cache" if "cache" in signature(self._backbone.forward).parameters else "past_key_values"
        out = self._backbone(input_ids=ids, use_cache=True, **({} if cache is None else {name: cache}))
        kept = getattr(out, name, None)
        layers = getattr(kept, "layers", ())
        can_select = bool(layers) and all(hasattr(layer, "batch_select_indices") for layer in layers)
        return out.last_hidden_state, kept if can_select else None

    def twin(self) -> StandardHead:
        """The same for another thread, in modules of its own over the same weights: some keep state while they run.

        Raises:
            EngineError: The kernels of another library run the model, over weights that no parameter holds.
        """
        if self._is_foreign:
            raise EngineError("A model that transformers runs was expected, as kernels of another library keep state.")
        modules = (self._backbone, self.linear)
        return deepcopy(self, {id(weight): weight for module in modules for weight in module.parameters()})

    @property
    def scale(self) -> float:
        """Factor that the model applies to the logits of its output embedding."""
        return self._multiplier / self._divisor

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``[…, vocabulary]`` of hidden states ``[…, width]``."""
        logits: Tensor = self.linear(hidden)
        if self._multiplier != 1.0:
            logits = logits * self._multiplier
        if self._divisor != 1.0:
            logits = logits / self._divisor
        return torch.tanh(logits / self.soft_cap) * self.soft_cap if self.soft_cap else logits

    @torch.inference_mode()
    def _check(self, model: PreTrainedModel) -> None:
        ids = torch.arange(1, 9, device=model.device)[None]
        expected, hidden = model(input_ids=ids, use_cache=False).logits, self.backbone(ids)
        if expected.isnan().any():
            return  # scoring reports it, with the number of the example
        near = 1e-2 * float(expected.abs().max())
        fits = hidden.shape[-1] == self.linear.weight.shape[-1]
        if not fits or not torch.allclose(expected, self.logits(hidden), rtol=1e-2, atol=near):
            raise EngineError(
                f"A standard language-model head was expected of {type(model).__name__}, and its logits are not"
                " those of its output embedding; this architecture is not supported."
            )
        ids[0, -1] = 0
        changed = model(input_ids=ids, use_cache=False).logits
        # The shapes are the same, so that a causal model rounds alike; a weak look ahead decides a verdict as well.
        # Inputs that are rounded together with later ones are rounded a little differently.
        rounding = 1e-2 if self._is_foreign else min(1e-2, 32 * torch.finfo(expected.dtype).eps)
        rounding *= float(expected.abs().max())
        if not torch.allclose(expected[:, :-1], changed[:, :-1], rtol=0.0, atol=rounding):
            raise EngineError(
                f"A causal language model was expected, and logits of {type(model).__name__} depend on later tokens;"
                " set is_decoder to true in its config.json if it was trained as a decoder."
            )


class HeadOfThread(local):
    """The head that a thread uses.

    Args:
        head: The head of one thread; others have a twin of it.
        thread: Identifier of that thread.
    """

    def __init__(self, head: StandardHead, thread: int) -> None:  # called once in each thread that asks
        self.head = head if get_ident() == thread else head.twin()


def backbone_and_head(model: PreTrainedModel) -> tuple[nn.Module, nn.Linear]:
    """The part of a model that gives hidden states, and the matrix that makes logits of them.

    Some classes give the part another name than the prefix they declare.

    Raises:
        EngineError: The model has no such parts.
    """
    parts = [model.base_model, *(getattr(model, name, None) for name in ("model", "transformer", "decoder"))]
    backbone = next((part for part in parts if isinstance(part, nn.Module) and part is not model), None)
    head = model.get_output_embeddings()
    if backbone is None or not isinstance(getattr(head, "weight", None), Tensor):
        lacking = "part that gives hidden states" if backbone is None else "output embedding"
        raise EngineError(
            f"A backbone and a language-model head were expected of {type(model).__name__}, which has no {lacking} that"
            " transformers names; this architecture is not supported."
        )
    return backbone, cast("nn.Linear", head)
