"""Where the teacher's log-probabilities come from: a model loaded beside the student, or rows stored ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, log_softmax, nn
from transformers import PreTrainedModel

from pytest_kdmem.distill.projection import Projection, computing_dtype
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError


class LiveTeacher:
    """A frozen model that reads the same batch as the student and is neither trained nor saved.

    Raises:
        EngineError: The model's head holds only zeros.
    """

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        self.model = model.eval().requires_grad_(False)
        self._head = StandardHead(model)
        self._temperature = temperature
        # Launchers of sharded models leave zeros in processes whose weights they mean to fill in later.
        if not self._head.linear.weight.any():
            raise EngineError(
                f"Weights were expected of teacher {type(model).__name__}, and its head holds zeros; check the"
                " checkpoint."
            )

    def to(self, device: torch.device) -> None:
        """Move the model to a device."""
        nn.Module.to(self.model, device)

    @torch.inference_mode()
    def outputs(self, ids: Tensor, positions: Tensor | None, predicted: Tensor) -> LiveOutputs:
        """Run the backbone and keep the hidden states before predicted tokens.

        Args:
            ids: ``[batch, tokens]`` int64.
            positions: ``[batch, tokens]`` position ids, or None if each row is one example.
            predicted: bool ``[batch, tokens − 1]``: whether token t + 1 is predicted.
        """
        hidden = self._head.backbone(ids, positions)[:, :-1][predicted]
        linear, dtype = self._head.linear, computing_dtype(self._head.linear.weight)
        bias = None if linear.bias is None else linear.bias.to(dtype)
        projection = Projection(linear.weight.to(dtype), bias, self._head.scale, self._head.soft_cap)
        return LiveOutputs(hidden.to(dtype), projection, self._temperature)


class LiveOutputs:
    """Hidden states ``[m, width]`` of a loaded teacher at m predicted positions, and its head.

    Neither this class nor `StoredOutputs` is a dataclass: FSDP casts the tensors of a dataclass to the model's dtype.
    """

    def __init__(self, hidden: Tensor, projection: Projection, temperature: float) -> None:
        self.hidden, self.projection, self.temperature = hidden, projection, temperature
        self._buffer: Tensor | None = None

    @torch.no_grad()
    def chunk(self, positions: slice, vocabulary: int) -> LiveChunk:
        """What the teacher's head gives; valid until the next chunk, whose products take the same memory."""
        projection, hidden = self.projection.first(vocabulary), self.hidden[positions]
        if self._buffer is None or self._buffer.shape[1] != vocabulary or len(self._buffer) < len(hidden):
            self._buffer = projection.buffer(len(hidden))
        return LiveChunk(projection.products(hidden, self._buffer), projection, self.temperature)


@dataclass(frozen=True, eq=False)
class LiveChunk:
    """Products ``[m, vocabulary]`` of a teacher's hidden states with its head, which `projection` makes logits of."""

    products: Tensor
    projection: Projection
    temperature: float

    def rows(self, rows: slice) -> LiveChunk:
        """The same of fewer positions."""
        return LiveChunk(self.products[rows], self.projection, self.temperature)

    def logprobs(self, student_logprobs: Tensor | None = None) -> Tensor:
        """The log-probabilities that the teacher's head gives."""
        return log_softmax(self.projection.logits(self.products) / self.temperature, dim=1)


class StoredOutputs:
    """The teacher's k most probable ids at m predicted positions.

    Args:
        ids: ``[m, k]`` int64.
        top_logprobs: ``[m, k]`` float32, their log-probabilities at the temperature of the recipe.
    """

    def __init__(self, ids: Tensor, top_logprobs: Tensor) -> None:
        self.ids, self.top_logprobs = ids, top_logprobs

    def chunk(self, positions: slice, vocabulary: int) -> StoredOutputs:
        """What is stored for some of the positions."""
        return self.rows(positions)

    def rows(self, rows: slice) -> StoredOutputs:
        """What is stored for some of the positions."""
        return StoredOutputs(self.ids[rows], self.top_logprobs[rows])

    def logprobs(self, student_logprobs: Tensor) -> Tensor:
        """The stored values; the probability that remains is distributed over the other ids as the student's is.

        The other ids then count as one outcome: the loss is KL(teacher ‖ student) over the k ids and "any other id",
        and its gradient, q − p, is that of the completed distribution held fixed.
        """
        tail = _log_remainder(self.top_logprobs)
        # Summed over the tail's own ids: 1 − Σ over the k ids would round to 0 for a confident student.
        student_tail = student_logprobs.scatter(1, self.ids, -torch.inf).logsumexp(dim=1)
        completed = student_logprobs + (tail - student_tail)[:, None]
        return completed.scatter_(1, self.ids, self.top_logprobs)


def _log_remainder(logprobs: Tensor) -> Tensor:
    """log(1 − Σ exp) ``[m]``, with the remainder bounded below by 1e-12."""
    total = logprobs.double().exp().sum(dim=1)
    return (1 - total).clamp(min=1e-12).log().float()
