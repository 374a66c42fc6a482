"""Real greedy decoding, with every default of the checkpoint put aside."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel


@torch.inference_mode()
def decode_greedily(model: PreTrainedModel, prefixes: Tensor, new_tokens: int) -> Tensor:
    """Greedy continuation ``[batch, new_tokens]`` of ``[batch, tokens]`` ids by `generate`.

    EOS stops nothing and nothing is banned: every default of the checkpoint's generation config is put aside.
    """
    model.generation_config = GenerationConfig()
    settings = GenerationConfig(do_sample=False, max_new_tokens=new_tokens, use_cache=True)
    generate: Callable[..., Tensor] = model.generate  # type: ignore[assignment]
    out = generate(prefixes, attention_mask=torch.ones_like(prefixes), generation_config=settings)
    return out[:, prefixes.shape[1] :]
