"""Logits → the few figures kept of each position, in float32 and chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Head = Callable[[Tensor], Tensor]


class Positions(NamedTuple):
    """Of m predicted tokens, each float32 ``[m]`` on the CPU: margin (logits), log-probability and entropy (nats)."""

    margin: Tensor
    logprob: Tensor
    entropy: Tensor


def reduce_positions(hidden: Tensor, targets: Tensor, head: Head, *, chunk: int) -> Positions:
    """Figures of each predicted token.

    Args:
        hidden: ``[m, width]`` last hidden states, each at the position before its target.
        targets: ``[m]`` int64 ids.
        head: hidden states → logits.
        chunk: positions whose logits over the whole vocabulary stand in memory at once.
    """
    parts = [
        _reduce(head(hidden[start : start + chunk]).float(), targets[start : start + chunk])
        for start in range(0, len(targets), chunk)
    ]
    return Positions(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _reduce(logits: Tensor, targets: Tensor) -> Positions:
    index = targets[:, None]
    target = logits.gather(1, index)[:, 0]
    log_total = logits.logsumexp(dim=1)
    # An infinite logit is as broken as NaN, and must not pass for a sure miss.
    logprob = torch.where(log_total.isfinite(), target - log_total, torch.nan)
    # Σ p·z needs p; logits that are −inf (ids masked out by the model) carry no mass and would give 0 · −inf.
    probabilities = torch.softmax(logits, dim=1)
    entropy = log_total - (probabilities * logits.clamp(min=torch.finfo(torch.float32).min)).sum(dim=1)
    best_other = logits.scatter_(1, index, -torch.inf).amax(dim=1)
    return Positions((target - best_other).cpu(), logprob.cpu(), entropy.cpu())
