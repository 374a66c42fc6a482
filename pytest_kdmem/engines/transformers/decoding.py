"""Real decoding, token by token with a cache: what the one pass stands for."""

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


@torch.inference_mode()
def margins_step_by_step(model: PreTrainedModel, ids: Tensor, known: int) -> Tensor:
    """Margins ``[batch, tokens − known − 1]``, float32 on the CPU, as decoding with a cache would see them.

    Args:
        ids: ``[batch, tokens]``; token ``known`` is the first fed alone, and the one after it the first target.
    """
    # Recurrent models have caches of other kinds; they are run anew on all tokens so far.
    cache = getattr(model(input_ids=ids[:, :known], use_cache=True), "past_key_values", None)
    margins = []
    for at in range(known, ids.shape[1] - 1):
        if cache is None:
            out = model(input_ids=ids[:, : at + 1])
        else:
            out = model(input_ids=ids[:, at : at + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
        logits, target = out.logits[:, -1].float(), ids[:, at + 1 : at + 2]
        best_other = logits.scatter(1, target, -torch.inf).amax(dim=1)
        margins.append((logits.gather(1, target)[:, 0] - best_other).cpu())
    return torch.stack(margins, dim=1)
