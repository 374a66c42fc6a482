"""A causal model as backbone and head, so that the head runs only where it is wanted."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.errors import EngineError


class StandardHead:
    """Both parts of one model.

    Raises:
        EngineError: the two do not give what the whole model gives: its head is not a standard one.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        self._backbone = model.base_model
        self.linear = model.get_output_embeddings()
        self._multiplier = float(getattr(config, "logit_scale", None) or 1.0)
        self._divisor = float(getattr(config, "logits_scaling", None) or 1.0)
        self.soft_cap: float | None = getattr(config, "final_logit_softcapping", None)
        self._check(model)

    def backbone(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """``[batch, tokens]`` ids → ``[batch, tokens, width]`` hidden states; not every model can be told positions."""
        more = {} if positions is None else {"position_ids": positions}
        hidden: Tensor = self._backbone(input_ids=ids, use_cache=False, **more).last_hidden_state
        return hidden

    @property
    def scale(self) -> float:
        """What the output embedding's logits are multiplied by."""
        return self._multiplier / self._divisor

    def logits(self, hidden: Tensor) -> Tensor:
        """``[…, width]`` → ``[…, vocabulary]``."""
        logits: Tensor = self.linear(hidden) * self._multiplier / self._divisor
        return torch.tanh(logits / self.soft_cap) * self.soft_cap if self.soft_cap else logits

    @torch.inference_mode()
    def _check(self, model: PreTrainedModel) -> None:
        ids = torch.arange(1, 9, device=model.device)[None]
        whole, parts = model(input_ids=ids, use_cache=False).logits, self.logits(self.backbone(ids))
        if whole.isnan().any():
            return  # told with the example's number when it is scored
        if not torch.allclose(whole, parts, rtol=1e-2, atol=1e-2 * float(whole.abs().max())):
            raise EngineError(
                f"A standard language-model head was expected of {type(model).__name__}, and its logits are not"
                " those of its output embedding; this architecture is not supported."
            )
