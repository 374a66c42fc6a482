"""Head and loss, computed for a chunk of positions at a time, so that logits never stand whole in memory.

The gradient of a chunk is computed in closed form while its logits exist. So the backward pass computes nothing again,
and only the gradients of the hidden states and of the head are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pytest_kdmem.distill.losses import Loss, Objective, cross_entropy
from pytest_kdmem.distill.projection import Projection, computing_dtype
from pytest_kdmem.engines.transformers.head import StandardHead

# Bytes of one chunk's float32 logits; several buffers of this size exist at once. GPUs take larger chunks, because each
# chunk passes once over the head and its gradient.
CHUNK_BYTES = {"cpu": 32 * 2**20}
CHUNK_BYTES_ELSEWHERE = 256 * 2**20


class TeacherOutputs(Protocol):
    """The teacher's log-probabilities at the predicted positions, computed or stored."""

    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        """``[m, vocabulary]`` float32 at the objective's temperature, over the student's vocabulary.

        Args:
            positions: The m of all predicted positions that are asked for.
            student_logprobs: ``[m, vocabulary]`` float32, at the same temperature.
        """
        ...


def chunk_positions(vocabulary: int, device: torch.device) -> int:
    """Number of positions whose logits fit the budget of one chunk."""
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
    """Sum of the objective over positions, differentiable with respect to the hidden states and the head.

    Args:
        head: Head of the student.
        hidden: ``[m, width]`` hidden states, each at the position before its label.
        labels: ``[m]`` int64.
        objective: The loss of one position.
        teacher: The teacher's outputs at the m positions; None if the objective is cross-entropy alone.
        chunk: Positions computed at once; by default as many as fit the memory budget.

    Returns:
        Scalar, float32; 0 for no positions.
    """
    settings = _Settings(
        objective,
        teacher,
        head.scale,
        head.soft_cap,
        chunk or chunk_positions(head.linear.weight.shape[0], hidden.device),
        torch.is_grad_enabled(),
    )
    loss: Tensor = _SummedLoss.apply(hidden, head.linear.weight, head.linear.bias, labels, settings)  # type: ignore[no-untyped-call]
    return loss


@dataclass(frozen=True)
class _Settings:
    """Everything that the loss depends on besides tensors that autograd follows."""

    objective: Objective
    teacher: TeacherOutputs | None
    scale: float
    soft_cap: float | None
    chunk: int
    is_differentiated: bool


@dataclass
class _Gradients:
    """Gradients that chunks are added to; None for a tensor that needs none."""

    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @property
    def are_needed(self) -> bool:
        return self.hidden is not None or self.weight is not None or self.bias is not None

    def add_chunk(self, positions: slice, states: Tensor, logit_gradient: Tensor, projection: Projection) -> None:
        """Add the gradients of one chunk.

        Args:
            states: ``[m, width]`` hidden states of the chunk, in the dtype of the multiplication.
            logit_gradient: ``[m, vocabulary]`` gradient with respect to what the head's matrix gives, unscaled;
                overwritten.
        """
        rounded = logit_gradient.mul_(projection.scale).to(states.dtype)
        if self.hidden is not None:
            self.hidden[positions] = rounded @ projection.weight
        if self.weight is not None:
            if states.dtype == torch.float32:
                self.weight.addmm_(rounded.T, states)
            else:
                self.weight.add_(rounded.T @ states)
        if self.bias is not None:
            self.bias += logit_gradient.sum(dim=0)


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, settings: _Settings
    ) -> Tensor:
        dtype = computing_dtype(weight)
        # needs_input_grad is also set where gradients are disabled and nothing will be differentiated.
        to_hidden, to_weight, to_bias = (settings.is_differentiated and needed for needed in ctx.needs_input_grad[:3])
        gradients = _Gradients(
            torch.empty_like(hidden) if to_hidden else None,
            torch.zeros_like(weight, dtype=torch.float32) if to_weight else None,
            torch.zeros_like(bias, dtype=torch.float32) if bias is not None and to_bias else None,
        )
        projection = Projection(
            weight.to(dtype), None if bias is None else bias.to(dtype), settings.scale, settings.soft_cap
        )
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(labels), settings.chunk):
                positions = slice(start, start + settings.chunk)
                states = hidden[positions].to(dtype)
                logits = projection.logits(states)
                slope = projection.soft_cap_slope(logits)
                value, gradient = _chunk_loss(logits, labels[positions], settings, positions)
                total += value.sum(dtype=torch.float64)
                if gradients.are_needed:
                    gradients.add_chunk(
                        positions, states, gradient if slope is None else gradient.mul_(slope), projection
                    )
        ctx.gradients = gradients
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        return total.float()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients: _Gradients = ctx.gradients
        ctx.gradients = None
        hidden, weight, bias = gradients.hidden, gradients.weight, gradients.bias
        # In place, because nothing else uses these buffers, and that of the weight is as large as the head.
        return (
            None if hidden is None else hidden.mul_(upstream.to(hidden.dtype)),
            None if weight is None else weight.mul_(upstream).to(ctx.dtypes[0]),
            None if bias is None else bias.mul_(upstream).to(ctx.dtypes[1]),
            None,
            None,
        )


def _chunk_loss(logits: Tensor, labels: Tensor, settings: _Settings, positions: slice) -> Loss:
    """Loss ``[m]`` of one chunk and its gradient ``[m, rows of the head]``; the logits are overwritten."""
    objective, teacher = settings.objective, settings.teacher
    if objective.divergence is None or teacher is None:
        return cross_entropy(torch.log_softmax(logits, dim=1), labels)
    student = torch.log_softmax(logits[:, : objective.vocabulary] / objective.temperature, dim=1)
    value, gradient = objective.divergence_of(teacher.logprobs(positions, student), student)
    weight = objective.labels_weight
    if weight:
        labels_value, labels_gradient = cross_entropy(torch.log_softmax(logits, dim=1), labels)
        value = value.mul_(1 - weight).add_(labels_value, alpha=weight)
        labels_gradient.mul_(weight)
        labels_gradient[:, : gradient.shape[1]].add_(gradient, alpha=1 - weight)
        return Loss(value, labels_gradient)
    if gradient.shape[1] == logits.shape[1]:
        return Loss(value, gradient)
    padded_gradient = logits.zero_()  # padding rows of the head learn nothing from the teacher
    padded_gradient[:, : gradient.shape[1]] = gradient
    return Loss(value, padded_gradient)
