"""Head and loss together, a chunk of positions at a time: logits never stand whole in memory.

The gradient of a chunk is taken in closed form while its logits are there, so the backward pass computes nothing again,
and keeps nothing but the gradients of the hidden states and of the head.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

from pytest_kdmem.distill.losses import Objective, cross_entropy
from pytest_kdmem.engines.transformers.head import StandardHead

# float32 logits of one chunk of positions; several buffers of this size stand at once. Larger ones on GPUs, since each
# chunk goes once over the head and its gradient.
CHUNK_BYTES = {"cpu": 32 * 2**20}
CHUNK_BYTES_ELSEWHERE = 256 * 2**20


class TeacherOutputs(Protocol):
    """The teacher's log-probabilities at the predicted positions, wherever they come from."""

    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        """``[m, vocabulary]`` float32 at the objective's temperature, over the student's vocabulary."""
        ...


def computing_dtype(weight: Tensor) -> torch.dtype:
    """What matrices are multiplied in here: autocast's dtype, or the weight's own."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def project(rows: Tensor, matrix: Tensor, offset: Tensor | None, scale: float, soft_cap: float | None) -> Tensor:
    """``[m, width]`` hidden states → ``[m, vocabulary]`` float32 logits, scaled and soft-capped as the model does."""
    logits = linear(rows, matrix, offset).float().mul_(scale)
    return logits.div_(soft_cap).tanh_().mul_(soft_cap) if soft_cap else logits


def chunk_positions(vocabulary: int, device: torch.device) -> int:
    """Positions whose logits fit the budget of one chunk."""
    return max(1, CHUNK_BYTES.get(device.type, CHUNK_BYTES_ELSEWHERE) // (4 * vocabulary))


def summed_loss(
    head: StandardHead,
    hidden: Tensor,
    labels: Tensor,
    objective: Objective,
    teacher: TeacherOutputs | None,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Sum of the objective over positions, differentiable in the hidden states and the head.

    Args:
        head: the student's.
        hidden: ``[m, width]``, each at the position before its label.
        labels: ``[m]`` int64.
        teacher: None where the objective is cross-entropy alone.
        chunk: positions at once; by default what fits the budget.

    Returns:
        Scalar, float32; 0 of no positions.
    """
    size = chunk or chunk_positions(head.linear.weight.shape[0], hidden.device)
    loss: Tensor = _SummedLoss.apply(  # type: ignore[no-untyped-call]
        hidden,
        head.linear.weight,
        head.linear.bias,
        labels,
        objective,
        teacher,
        head.scale,
        head.soft_cap,
        size,
        torch.is_grad_enabled(),
    )
    return loss


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        objective: Objective,
        teacher: TeacherOutputs | None,
        scale: float,
        soft_cap: float | None,
        chunk: int,
        differentiates: bool,
    ) -> Tensor:
        kind, dtype = hidden.device.type, computing_dtype(weight)
        # What needs a gradient is told here even where none will be asked for.
        to_hidden, to_weight, to_bias = (differentiates and needed for needed in ctx.needs_input_grad[:3])
        hidden_gradient = torch.empty_like(hidden) if to_hidden else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if to_weight else None
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and to_bias else None
        matrix, offset = weight.to(dtype), None if bias is None else bias.to(dtype)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(labels), chunk):
                here = slice(start, start + chunk)
                rows = hidden[here].to(dtype)
                logits = project(rows, matrix, offset, scale, soft_cap)
                slope = 1 - (logits / soft_cap).square_() if soft_cap else None
                value, gradient = _loss_of(logits, labels[here], objective, teacher, here)
                total += value.sum(dtype=torch.float64)
                if not (to_hidden or to_weight):
                    continue
                if slope is not None:
                    gradient.mul_(slope)
                rounded = gradient.mul_(scale).to(dtype)
                if hidden_gradient is not None:
                    hidden_gradient[here] = rounded @ matrix
                if weight_gradient is not None:
                    weight_gradient.addmm_(rounded.T, rows) if dtype == torch.float32 else weight_gradient.add_(
                        rounded.T @ rows
                    )
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(dim=0)
        ctx.gradients = hidden_gradient, weight_gradient, bias_gradient
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        return total.float()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.gradients
        ctx.gradients = None
        # In place: the buffers are ours alone, and the head's is as large as the head.
        return (
            None if hidden is None else hidden.mul_(upstream.to(hidden.dtype)),
            None if weight is None else weight.mul_(upstream).to(ctx.dtypes[0]),
            None if bias is None else bias.mul_(upstream).to(ctx.dtypes[1]),
            *[None] * 7,
        )


def _loss_of(
    logits: Tensor, labels: Tensor, objective: Objective, teacher: TeacherOutputs | None, here: slice
) -> tuple[Tensor, Tensor]:
    """Loss ``[m]`` and its gradient ``[m, rows of the head]`` of one chunk; the logits are used up."""
    share = objective.labels_weight
    if objective.divergence is None or teacher is None:
        return cross_entropy(torch.log_softmax(logits, dim=1), labels)
    known = logits[:, : objective.vocabulary]
    student = torch.log_softmax(known / objective.temperature, dim=1)
    value, gradient = objective.divergence_of(teacher.logprobs(here, student), student)
    if share:
        labels_value, labels_gradient = cross_entropy(torch.log_softmax(logits, dim=1), labels)
        value = value.mul_(1 - share).add_(labels_value, alpha=share)
        labels_gradient.mul_(share)
        labels_gradient[:, : gradient.shape[1]].add_(gradient, alpha=1 - share)
        return value, labels_gradient
    if gradient.shape[1] == logits.shape[1]:
        return value, gradient
    whole = logits.zero_()  # padding rows of the head learn nothing from the teacher
    whole[:, : gradient.shape[1]] = gradient
    return value, whole
