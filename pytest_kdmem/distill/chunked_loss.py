"""Head and loss, computed for a chunk of positions at a time, so that logits never stand whole in memory.

The gradient of a chunk is computed in closed form while its logits exist, and takes their place in memory. So the
backward pass computes nothing again, and only the gradients of the hidden states and of the head are kept. A chunk is
multiplied with the head at once, and reduced in blocks of few positions that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pytest_kdmem.distill.losses import Loss, Objective
from pytest_kdmem.distill.position_loss import TeacherRows, position_loss
from pytest_kdmem.distill.projection import Projection, computing_dtype
from pytest_kdmem.engines.transformers.head import StandardHead

# Bytes of one chunk's logits in float32; student and teacher have a buffer each. Each chunk passes once over the heads
# and the gradient, so chunks are large, and GPUs have room for larger ones.
CHUNK_BYTES = {"cpu": 32 * 2**20}
CHUNK_BYTES_ELSEWHERE = 256 * 2**20
# Bytes of one block's logits: few enough that the buffers of a block stay in the cache of a CPU. On other devices a
# block is a whole chunk, because starting a kernel costs more than memory.
BLOCK_BYTES = {"cpu": 2**20}


Reduce = Callable[[Tensor, Tensor, Projection, Objective, TeacherRows | None], Loss]


class TeacherOutputs(Protocol):
    """The teacher's log-probabilities at the predicted positions, computed or stored."""

    def chunk(self, positions: slice, vocabulary: int) -> TeacherChunk:
        """Those of some positions, over the first ``vocabulary`` token ids; valid until the next call."""
        ...


class TeacherChunk(Protocol):
    """The teacher's log-probabilities at the m positions of one chunk."""

    def rows(self, rows: slice) -> TeacherRows:
        """Those of some of the m positions."""
        ...


def chunk_positions(vocabulary: int, device: torch.device) -> int:
    """Number of positions whose logits fit the budget of one chunk."""
    return max(1, CHUNK_BYTES.get(device.type, CHUNK_BYTES_ELSEWHERE) // (4 * vocabulary))


def block_positions(vocabulary: int, device: torch.device, chunk: int) -> int:
    """Number of positions of a chunk that are reduced at once: at least one for each thread."""
    if device.type not in BLOCK_BYTES:
        return chunk
    return max(torch.get_num_threads(), BLOCK_BYTES[device.type] // (4 * vocabulary))


def summed_loss(
    head: StandardHead,
    hidden: Tensor,
    labels: Tensor,
    objective: Objective,
    teacher: TeacherOutputs | None,
    *,
    reduce: Reduce = position_loss,
) -> Tensor:
    """Sum of the objective over positions, differentiable with respect to the hidden states and the head.

    Args:
        head: Head of the student.
        hidden: ``[m, width]`` hidden states, each at the position before its label.
        labels: ``[m]`` int64.
        objective: The loss of one position.
        teacher: The teacher's outputs at the m positions; None if the objective is cross-entropy alone.
        reduce: `position_loss`, or the same compiled.

    Returns:
        Scalar, float32; 0 for no positions.
    """
    settings = _Settings(objective, teacher, head.scale, head.soft_cap, reduce, torch.is_grad_enabled())
    loss: Tensor = _SummedLoss.apply(hidden, head.linear.weight, head.linear.bias, labels, settings)  # type: ignore[no-untyped-call]
    return loss


@dataclass(frozen=True)
class _Settings:
    """Everything that the loss depends on besides tensors that autograd follows."""

    objective: Objective
    teacher: TeacherOutputs | None
    scale: float
    soft_cap: float | None
    reduce: Reduce
    is_differentiated: bool

    def projection(self, weight: Tensor, bias: Tensor | None) -> Projection:
        """The part of the head that the loss depends on, in the dtype of the multiplication."""
        rows = len(weight) if self.objective.labels_weight else self.objective.vocabulary
        dtype = computing_dtype(weight)
        whole = Projection(weight.to(dtype), None if bias is None else bias.to(dtype), self.scale, self.soft_cap)
        return whole if rows is None else whole.first(rows)


@dataclass
class _Gradients:
    """Gradients that chunks are added to; None for a tensor that needs none."""

    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @property
    def are_needed(self) -> bool:
        return self.hidden is not None or self.weight is not None or self.bias is not None

    def add_chunk(self, positions: slice, states: Tensor, gradient: Tensor, projection: Projection) -> None:
        """Add the gradients of one chunk.

        Args:
            states: ``[m, width]`` hidden states of the chunk, in the dtype of the multiplication.
            gradient: ``[m, rows]`` gradient with respect to their products with the head, in the same dtype.
        """
        if self.hidden is not None:
            self.hidden[positions] = gradient @ projection.weight
        if self.weight is not None:
            weight = self.weight[: gradient.shape[1]]
            if states.dtype == torch.float32:
                weight.addmm_(gradient.T, states)
            else:
                weight.add_(gradient.T @ states)

    def add_bias(self, gradient: Tensor) -> None:
        """Add to the gradient of the bias what float32 ``[m, rows]``, the gradient of some products, adds."""
        if self.bias is not None:
            self.bias[: gradient.shape[1]] += gradient.sum(dim=0)


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, settings: _Settings
    ) -> Tensor:
        # needs_input_grad is also set where gradients are disabled and nothing will be differentiated.
        to_hidden, to_weight, to_bias = (settings.is_differentiated and needed for needed in ctx.needs_input_grad[:3])
        gradients = _Gradients(
            torch.empty_like(hidden) if to_hidden else None,
            torch.zeros_like(weight, dtype=torch.float32) if to_weight else None,
            torch.zeros_like(bias, dtype=torch.float32) if bias is not None and to_bias else None,
        )
        projection = settings.projection(weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            total = _loss_in_chunks(hidden, labels, projection, settings, gradients)
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


def _loss_in_chunks(
    hidden: Tensor, labels: Tensor, projection: Projection, settings: _Settings, gradients: _Gradients
) -> Tensor:
    """Sum of the loss, float64; the gradients are added to ``gradients``."""
    rows, device = len(projection.weight), hidden.device
    chunk = chunk_positions(rows, device)
    block = block_positions(rows, device, chunk)
    buffer = projection.buffer(min(chunk, len(labels)))
    total = torch.zeros((), dtype=torch.float64, device=device)
    for start in range(0, len(labels), chunk):
        positions = slice(start, start + chunk)
        states, chunk_labels = hidden[positions].to(buffer.dtype), labels[positions]
        products = projection.products(states, buffer)
        teacher = settings.teacher.chunk(positions, settings.objective.vocabulary or rows) if settings.teacher else None
        for first in range(0, len(states), block):
            part = slice(first, first + block)
            value, gradient = settings.reduce(
                products[part],
                chunk_labels[part],
                projection,
                settings.objective,
                teacher.rows(part) if teacher else None,
            )
            total += value.sum(dtype=torch.float64)
            if gradients.are_needed:
                gradients.add_bias(gradient)
                products[part] = gradient
        if gradients.are_needed:
            gradients.add_chunk(positions, states, products, projection)
    return total
