"""Divergences between next-token distributions, each with its gradient in closed form.

With a closed form autograd keeps no graph over the vocabulary: a chunk of positions needs a few buffers of its own
size, and its gradient is complete before the next chunk begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from pytest_kdmem.distill.recipe import Divergence

IGNORED = -100


class Loss(NamedTuple):
    """Loss of m positions.

    Args:
        value: ``[m]`` float32, in nats.
        gradient: ``[m, vocabulary]`` float32: derivative of each value with respect to its position's logits.
    """

    value: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Objective:
    """The loss of one position: ``(1 − w) · T² · D(teacher, student) + w · cross-entropy``.

    Args:
        divergence: D, taken between distributions at ``temperature``; None means cross-entropy alone.
        temperature: T. The factor T² keeps the gradient's scale independent of it (arXiv 2601.15394).
        jsd_weight: β of the generalised Jensen–Shannon divergence.
        cross_entropy_weight: w.
        vocabulary: Number of token ids that the tokenizer uses. D covers only these, because the embeddings of teacher
            and student may be padded to different sizes; cross-entropy covers every row of the student's head, so that
            padding rows stay improbable.
    """

    divergence: Divergence | None = None
    temperature: float = 1.0
    jsd_weight: float = 0.5
    cross_entropy_weight: float = 0.0
    vocabulary: int | None = None

    @property
    def labels_weight(self) -> float:
        """Weight of cross-entropy: 1 without a divergence."""
        return 1.0 if self.divergence is None else self.cross_entropy_weight

    def divergence_of(self, teacher_logprobs: Tensor, student_logprobs: Tensor) -> Loss:
        """``T² · D`` and its gradient with respect to the student's logits.

        Args:
            teacher_logprobs: ``[m, vocabulary]`` float32, at temperature T; overwritten.
            student_logprobs: ``[m, vocabulary]`` float32, at temperature T; overwritten.
        """
        value, gradient = _DIVERGENCES[self.divergence or "forward"](
            teacher_logprobs, student_logprobs, self.jsd_weight
        )
        # ∂/∂logit = T² · ∂D/∂(logit / T) · 1/T. Rounding can leave a divergence slightly below its minimum, 0.
        return Loss(value.clamp(min=0).mul_(self.temperature**2), gradient.mul_(self.temperature))


def cross_entropy(student_logprobs: Tensor, labels: Tensor) -> Loss:
    """−log q(label); the gradient is q − onehot(label).

    Args:
        student_logprobs: ``[m, vocabulary]`` float32; overwritten.
        labels: ``[m]`` int64.
    """
    index = labels[:, None]
    value = -student_logprobs.gather(1, index)[:, 0]
    gradient = student_logprobs.exp_()
    gradient.scatter_add_(1, index, gradient.new_full((), -1.0).expand_as(index))
    return Loss(value, gradient)


# The divergences overwrite both arguments, so that as few buffers as possible pass through memory.


def forward_kl(log_p: Tensor, log_q: Tensor, _weight: float = 0.0) -> Loss:
    """KL(p ‖ q) = Σ p · (log p − log q); the gradient is q − p."""
    p = log_p.exp()
    value = log_p.sub_(log_q).mul_(p).sum(dim=1)
    return Loss(value, log_q.exp_().sub_(p))


def reverse_kl(log_p: Tensor, log_q: Tensor, _weight: float = 0.0) -> Loss:
    """KL(q ‖ p) = Σ q · (log q − log p); the gradient is q · (log q − log p − KL)."""
    q = log_q.exp()
    log_ratio = log_q.sub_(log_p)
    value = (q * log_ratio).sum(dim=1)
    return Loss(value, log_ratio.sub_(value[:, None]).mul_(q))


def generalised_jsd(log_p: Tensor, log_q: Tensor, weight: float) -> Loss:
    """β · KL(p ‖ m) + (1 − β) · KL(q ‖ m), m = β · p + (1 − β) · q (arXiv 2306.13649).

    The gradient is q · (g − Σ q · g) with g = (1 − β) · log(q / m); the term of p and the dependence of m on q cancel.
    """
    log_m = torch.logaddexp(log_p + log(weight), log_q + log(1 - weight))
    p, q = log_p.exp(), log_q.exp()
    teacher_part = log_p.sub_(log_m).mul_(p).sum(dim=1)
    student_log_ratio = log_q.sub_(log_m).mul_(1 - weight)
    student_part = (q * student_log_ratio).sum(dim=1)
    value = teacher_part.mul_(weight).add_(student_part)
    return Loss(value, student_log_ratio.sub_(student_part[:, None]).mul_(q))


_DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Loss]] = {
    "forward": forward_kl,
    "reverse": reverse_kl,
    "jsd": generalised_jsd,
}
