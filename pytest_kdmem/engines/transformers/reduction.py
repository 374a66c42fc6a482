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


class PairedPositions(NamedTuple):
    """Of m predicted tokens: each model's figures, and KL(teacher ‖ baseline), float32 ``[m]`` on the CPU (nats)."""

    teacher: Positions
    baseline: Positions
    divergence: Tensor


def reduce_pair(
    teacher: tuple[Tensor, Head], baseline: tuple[Tensor, Head], targets: Tensor, *, vocabulary: int, chunk: int
) -> PairedPositions:
    """Figures of each predicted token by two models of one tokenizer, and how far the two are apart there.

    Args:
        teacher, baseline: ``[m, width]`` hidden states, each at the position before its target, and the model's head.
        targets: ``[m]`` int64 ids.
        vocabulary: the tokenizer's size: padding beyond it is no token, and the two models may be padded differently.
        chunk: positions whose logits of both models stand in memory at once.
    """
    found: list[tuple[Positions, Positions, Tensor]] = []
    for start in range(0, len(targets), chunk):
        ids = targets[start : start + chunk]
        first, second = (head(hidden[start : start + chunk]).float() for hidden, head in (teacher, baseline))
        divergence = forward_kl(first[:, :vocabulary], second[:, :vocabulary]).cpu()
        found.append((_reduce(first, ids), _reduce(second, ids), divergence))  # uses the logits up
    firsts, seconds, divergences = zip(*found, strict=True)
    one, other = (Positions(*map(torch.cat, zip(*parts, strict=True))) for parts in (firsts, seconds))
    return PairedPositions(one, other, torch.cat(divergences))


def forward_kl(teacher: Tensor, baseline: Tensor) -> Tensor:
    """KL(teacher ‖ baseline) = Σ_v p(v) · log(p(v) / q(v)) of logits ``[m, vocabulary]``, float32 ``[m]``, in nats.

    Tokens that the teacher gives no probability add nothing; one that only the baseline gives none makes it infinite.
    """
    p, q = teacher.log_softmax(dim=1), baseline.log_softmax(dim=1)
    terms = torch.where(p > -torch.inf, p.exp() * (p - q), 0.0)
    return terms.sum(dim=1).clamp(min=0.0)  # rounding may leave a hair below


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
