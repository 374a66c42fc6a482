"""Reduces logits to the few values kept for each position, in float32 and chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Head = Callable[[Tensor], Tensor]


class Positions(NamedTuple):
    """Margin (logits), log-probability and entropy (nats) of m predicted tokens, each float32 ``[m]`` on the CPU."""

    margin: Tensor
    logprob: Tensor
    entropy: Tensor


def reduce_positions(hidden: Tensor, targets: Tensor, head: Head, *, chunk: int) -> Positions:
    """Compute the values of each predicted token.

    Args:
        hidden: Last hidden states ``[m, width]``, each at the position before its target.
        targets: Target ids ``[m]``, int64.
        head: Maps hidden states to logits.
        chunk: Number of positions whose logits over the whole vocabulary are in memory at once.
    """
    parts = [
        _reduce(head(hidden[start : start + chunk]).float(), targets[start : start + chunk])
        for start in range(0, len(targets), chunk)
    ]
    return _concatenate(parts)


class PairedPositions(NamedTuple):
    """Each model's values of m predicted tokens, and KL(teacher ‖ baseline) in nats, float32 ``[m]`` on the CPU."""

    teacher: Positions
    baseline: Positions
    divergence: Tensor


def reduce_pair(
    teacher: tuple[Tensor, Head], baseline: tuple[Tensor, Head], targets: Tensor, *, vocabulary: int, chunk: int
) -> PairedPositions:
    """Compute the values of each predicted token for two models of one tokenizer, and the divergence of the two.

    Args:
        teacher: Hidden states ``[m, width]``, each at the position before its target, and the model's head.
        baseline: The same of the other model.
        targets: Target ids ``[m]``, int64.
        vocabulary: Size of the tokenizer. Logits beyond it are padding, which may differ between the models.
        chunk: Number of positions whose logits of both models are in memory at once.
    """
    teacher_parts, baseline_parts, divergences = [], [], []
    for start in range(0, len(targets), chunk):
        ids = targets[start : start + chunk]
        teacher_logits, baseline_logits = (
            head(hidden[start : start + chunk]).float() for hidden, head in (teacher, baseline)
        )
        divergences.append(forward_kl(teacher_logits[:, :vocabulary], baseline_logits[:, :vocabulary]).cpu())
        teacher_parts.append(_reduce(teacher_logits, ids))
        baseline_parts.append(_reduce(baseline_logits, ids))
    return PairedPositions(_concatenate(teacher_parts), _concatenate(baseline_parts), torch.cat(divergences))


def forward_kl(teacher: Tensor, baseline: Tensor) -> Tensor:
    """KL(teacher ‖ baseline) = Σ_v p(v) · log(p(v) / q(v)) of logits ``[m, vocabulary]``, float32 ``[m]``, in nats.

    A token to which the teacher gives no probability adds nothing; one to which only the baseline gives none makes the
    divergence infinite.
    """
    p, q = teacher.log_softmax(dim=1), baseline.log_softmax(dim=1)
    terms = torch.where(p > -torch.inf, p.exp() * (p - q), 0.0)
    return terms.sum(dim=1).clamp(min=0.0)  # rounding may give a value just below zero


def _concatenate(parts: list[Positions]) -> Positions:
    return Positions(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _reduce(logits: Tensor, targets: Tensor) -> Positions:
    """The values of one chunk; overwrites the logits."""
    index = targets[:, None]
    target = logits.gather(1, index)[:, 0]
    log_total = logits.logsumexp(dim=1)
    # An infinite logit is as broken as NaN, and must not pass for a sure miss.
    logprob = torch.where(log_total.isfinite(), target - log_total, torch.nan)
    # Entropy = log_total − Σ p·z. A logit of −inf (an id masked by the model) has p = 0, and 0 · −inf would be NaN.
    probabilities = torch.softmax(logits, dim=1)
    entropy = log_total - (probabilities * logits.clamp(min=torch.finfo(torch.float32).min)).sum(dim=1)
    best_other = logits.scatter_(1, index, -torch.inf).amax(dim=1)
    return Positions((target - best_other).cpu(), logprob.cpu(), entropy.cpu())
