"""Reduces logits to the few values kept for each position, in float32 and chunk by chunk.

The values stay on the device of the logits, so that nothing waits for it before a batch ends. A chunk's logits are
overwritten where they lie, and the exponential of each is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Head = Callable[[Tensor], Tensor]

# Bytes of logits that are reduced at once on a CPU: what one step leaves is in its cache when the next reads it.
BYTES_REDUCED_AT_ONCE = 4 << 20
# Variance of log-probabilities, in nats², below which a distribution is as good as certain.
LEAST_VARIANCE = 1e-12


class Positions(NamedTuple):
    """Margin (logits), log-probability and entropy (nats) of m predicted tokens, each float32 ``[m]``.

    The log-probability is NaN where the model gives no finite logits: an infinite one is as broken as NaN, and must not
    pass for a sure miss. ``standardized`` is the log-probability minus the mean, divided by the standard deviation, of
    the log-probabilities of all tokens under their own distribution, as Min-K%++ takes it (Zhang et al., 2025).
    """

    margin: Tensor
    logprob: Tensor
    entropy: Tensor
    standardized: Tensor


def reduce_margins(hidden: Tensor, targets: Tensor, head: Head, *, chunk: int) -> Tensor:
    """The margin ``[m]`` of each predicted token in logits, float32, by one pass over the logits.

    It is NaN where the model gives no finite logits. The arguments are those of `reduce_positions`.
    """
    margins = []
    for part in _chunks(len(targets), chunk):
        # The greatest logit is the same in the dtype of the model, of which half precision is read at twice the speed.
        target, best_other = (each.float() for each in _target_and_best_other(head(hidden[part]), targets[part]))
        is_finite = torch.maximum(target, best_other).isfinite()
        margins.append(torch.where(is_finite, target - best_other, torch.nan)[:, 0])
    return torch.cat(margins)


def reduce_positions(hidden: Tensor, targets: Tensor, head: Head, *, chunk: int) -> Positions:
    """Compute the values of each predicted token.

    Args:
        hidden: Last hidden states ``[m, width]``, each at the position before its target.
        targets: Target ids ``[m]``, int64.
        head: Maps hidden states to logits, which are overwritten.
        chunk: Number of positions whose logits over the whole vocabulary are in memory at once.
    """
    parts = []
    buffers = _Buffers(1)
    for part in _chunks(len(targets), chunk):
        logits = head(hidden[part]).float()
        for rows in _chunks(len(logits), _rows_at_once(logits)):
            reduced = _reduce(logits[rows], targets[part][rows], buffers)
            parts.append(reduced.positions(reduced.exponentials))
    return _concatenate(parts)


class PairedPositions(NamedTuple):
    """Each model's values of m predicted tokens, and KL(teacher ‖ baseline) in nats, float32 ``[m]``."""

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
    teacher_buffers, baseline_buffers = _Buffers(2), _Buffers(1)
    for part in _chunks(len(targets), chunk):
        teacher_logits, baseline_logits = (head(hidden[part]).float() for hidden, head in (teacher, baseline))
        for rows in _chunks(len(teacher_logits), _rows_at_once(teacher_logits)):
            of_teacher = _reduce(teacher_logits[rows], targets[part][rows], teacher_buffers)
            of_baseline = _reduce(baseline_logits[rows], targets[part][rows], baseline_buffers)
            baseline_total = of_baseline.total_of(vocabulary)
            baseline_parts.append(of_baseline.positions(of_baseline.exponentials))
            teacher_parts.append(of_teacher.positions(teacher_buffers.of_shape(1, of_teacher.shifted)))
            divergences.append(_divergence(of_teacher, of_baseline.shifted, baseline_total, vocabulary))
    return PairedPositions(_concatenate(teacher_parts), _concatenate(baseline_parts), torch.cat(divergences))


class _Buffers:
    """Memory for intermediate values of one chunk after another."""

    def __init__(self, count: int) -> None:
        self._buffers: list[Tensor | None] = [None] * count

    def of_shape(self, number: int, like: Tensor) -> Tensor:
        """The buffer of a number, with as many rows as a chunk of logits; the first chunk has the most."""
        buffer = self._buffers[number]
        if buffer is None:
            buffer = self._buffers[number] = torch.empty_like(like)
        return buffer[: len(like)]


class _Reduced(NamedTuple):
    """What is computed of a chunk's logits ``[m, vocabulary]``, and the margins and log-probabilities ``[m]``.

    Attributes:
        shifted: The logits minus the largest of their position.
        exponentials: Their exponentials.
        total: The sums of these ``[m]``.
    """

    margin: Tensor
    logprob: Tensor
    shifted: Tensor
    exponentials: Tensor
    total: Tensor

    def positions(self, buffer: Tensor) -> Positions:
        """All values; the buffer ``[m, vocabulary]``, which may be that of the exponentials, is overwritten."""
        # A logit of −inf (an id masked by the model) has probability 0, and 0 · −inf is NaN, which adds nothing.
        mean = torch.mul(self.exponentials, self.shifted, out=buffer).nansum(dim=1) / self.total
        variance = buffer.mul_(self.shifted).nansum(dim=1) / self.total - mean.square()
        log_total = self.total.log()
        standardized = (self.logprob + log_total - mean) / variance.clamp(min=LEAST_VARIANCE).sqrt()
        return Positions(self.margin, self.logprob, log_total - mean, standardized)

    def total_of(self, vocabulary: int) -> Tensor:
        """The sum ``[m]`` of the exponentials of the first tokens."""
        if vocabulary == self.exponentials.shape[1]:
            return self.total
        return self.exponentials[:, :vocabulary].sum(dim=1)


def _reduce(logits: Tensor, targets: Tensor, buffers: _Buffers) -> _Reduced:
    """Overwrites the logits of one chunk."""
    target, best_other = _target_and_best_other(logits, targets)
    logits.scatter_(1, targets[:, None], target)
    largest = torch.maximum(target, best_other)
    shifted = logits.sub_(largest)
    exponentials = torch.exp(shifted, out=buffers.of_shape(0, shifted))
    total = exponentials.sum(dim=1)
    # If the largest logit is infinite or NaN, so is the total of what is NaN.
    logprob = (target - largest)[:, 0] - total.log()
    return _Reduced((target - best_other)[:, 0], logprob, shifted, exponentials, total)


def _target_and_best_other(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The target's logit ``[m, 1]`` and the best of the others; that of the target is overwritten by −inf."""
    index = targets[:, None]
    target = logits.gather(1, index)
    return target, logits.scatter_(1, index, -torch.inf).amax(dim=1, keepdim=True)


def _divergence(teacher: _Reduced, baseline_shifted: Tensor, baseline_total: Tensor, vocabulary: int) -> Tensor:
    """KL(teacher ‖ baseline) = Σ_v p(v) · log(p(v) / q(v)) over the first tokens, float32 ``[m]``, in nats.

    A token to which the teacher gives no probability adds nothing (0 · ∞ is NaN, which is left out); one to which only
    the baseline gives none makes the divergence infinite. Overwrites the teacher's logits.
    """
    total = teacher.total_of(vocabulary)
    difference = teacher.shifted[:, :vocabulary].sub_(baseline_shifted[:, :vocabulary])
    weighted = difference.mul_(teacher.exponentials[:, :vocabulary]).nansum(dim=1)
    divergence = weighted / total - total.log() + baseline_total.log()
    return divergence.clamp(min=0.0)  # rounding may give a value just below zero


def _rows_at_once(logits: Tensor) -> int:
    """Number of positions whose logits ``[m, vocabulary]`` are reduced at once."""
    if logits.device.type != "cpu":
        return len(logits)
    return max(8, BYTES_REDUCED_AT_ONCE // (logits.shape[1] * logits.element_size()))


def _chunks(positions: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, positions, chunk)]


def _concatenate(parts: list[Positions]) -> Positions:
    return Positions(*(torch.cat(values) for values in zip(*parts, strict=True)))
