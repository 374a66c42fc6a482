"""Greedy decoding token by token with a cache, which the one forward pass must agree with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.engines.transformers.batches import Batches
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds


@torch.no_grad()  # tensors of inference mode that a model keeps would stop a training that goes on with it
def decode(model: PreTrainedModel, prefixes: Tensor, new_tokens: int, choose: LogitsProcessor | None = None) -> Tensor:
    """Continuations ``[batch, new_tokens]`` of token ids ``[batch, tokens]``, by `generate`.

    EOS does not stop decoding and no token is banned: the checkpoint's own generation config is not used.

    Args:
        model: A causal language model.
        prefixes: Token ids ``[batch, tokens]``, int64.
        new_tokens: Number of tokens to decode.
        choose: Changes the logits of each step, of which the greatest is taken; None takes the most probable token.
    """
    model.generation_config = GenerationConfig()
    settings = GenerationConfig(do_sample=False, max_new_tokens=new_tokens, use_cache=True)
    generate: Callable[..., Tensor] = model.generate  # type: ignore[assignment]
    out = generate(
        prefixes,
        attention_mask=torch.ones_like(prefixes),
        generation_config=settings,
        logits_processor=LogitsProcessorList([] if choose is None else [choose]),
    )
    return out[:, prefixes.shape[1] :]


@torch.inference_mode()
def decode_greedily(model: PreTrainedModel, prefixes: Tensor, new_tokens: int) -> Tensor:
    """Greedy continuations ``[batch, new_tokens]`` of token ids ``[batch, tokens]``."""
    return decode(model, prefixes, new_tokens)


def decode_prefixes(
    model: PreTrainedModel, prefixes: Sequence[TokenIds], new_tokens: int, batches: Batches, device: str
) -> list[TokenIds]:
    """Greedy continuations ``[new_tokens]`` of prefixes of any length, in their order."""
    # Prefixes of one length are decoded together: a decoded token stands right behind its prefix.
    by_length: dict[int, list[int]] = {}
    for row, prefix in enumerate(prefixes):
        by_length.setdefault(len(prefix), []).append(row)
    continuations: list[TokenIds] = [np.empty(0, dtype=np.int32)] * len(prefixes)
    for rows in by_length.values():
        ids = PaddedIds([prefixes[row] for row in rows], device)

        def decode_batch(batch: slice, ids: PaddedIds = ids) -> list[TokenIds]:
            return list(decode_greedily(model, ids.batch(batch), new_tokens).cpu().numpy().astype(np.int32))

        decoded = chain.from_iterable(batches.run(len(rows), decode_batch, in_threads=False))
        for row, continuation in zip(rows, decoded, strict=True):
            continuations[row] = continuation
    return continuations


@torch.no_grad()  # tensors of inference mode that a model keeps would stop a training that goes on with it
def margins_step_by_step(model: PreTrainedModel, ids: Tensor, prompt_tokens: int) -> Tensor:
    """Margins ``[batch, tokens − prompt_tokens − 1]`` as decoding with a cache sees them, float32 on the CPU.

    Args:
        model: A causal language model.
        ids: Token ids ``[batch, tokens]``.
        prompt_tokens: Number of tokens fed at once. The next one is the first fed alone, and the one after it the
            first target.
    """
    # Without a cache, or with one of another kind, as recurrent models have, the model is run again on all tokens so
    # far. transformers 5.24 calls the cache by another name than 5.16, and ignores the old name in some models.
    cache_name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
    cache = getattr(model(input_ids=ids[:, :prompt_tokens], use_cache=True), cache_name, None)
    margins = []
    for position in range(prompt_tokens, ids.shape[1] - 1):
        if cache is None:
            out = model(input_ids=ids[:, : position + 1])
        else:
            out = model(input_ids=ids[:, position : position + 1], use_cache=True, **{cache_name: cache})
            cache = getattr(out, cache_name)
        logits, target = out.logits[:, -1].float(), ids[:, position + 1 : position + 2]
        best_other = logits.scatter(1, target, -torch.inf).amax(dim=1)
        margins.append((logits.gather(1, target)[:, 0] - best_other).cpu())
    return torch.stack(margins, dim=1)
