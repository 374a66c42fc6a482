"""Where the teacher's log-probabilities come from: a model loaded beside the student, or rows stored ahead."""

from __future__ import annotations

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

    @torch.inference_mode()
    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        """The log-probabilities that the teacher's head gives."""
        logits = self.projection.logits(self.hidden[positions])
        return log_softmax(logits[:, : student_logprobs.shape[1]].div_(self.temperature), dim=1)


class StoredOutputs:
    """The teacher's k most probable ids at m predicted positions.

    Args:
        ids: ``[m, k]`` int64.
        top_logprobs: ``[m, k]`` float32, their log-probabilities at the temperature of the recipe.
    """

    def __init__(self, ids: Tensor, top_logprobs: Tensor) -> None:
        self.ids, self.top_logprobs = ids, top_logprobs

    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        """The stored values; the probability that remains is distributed over the other ids as the student's is.

        The other ids then count as one outcome: the loss is KL(teacher ‖ student) over the k ids and "any other id",
        and its gradient, q − p, is that of the completed distribution held fixed.
        """
        ids, top_logprobs = self.ids[positions], self.top_logprobs[positions]
        tail = _log_remainder(top_logprobs)
        # Summed over the tail's own ids: 1 − Σ over the k ids would round to 0 for a confident student.
        student_tail = student_logprobs.scatter(1, ids, -torch.inf).logsumexp(dim=1)
        completed = student_logprobs + (tail - student_tail)[:, None]
        return completed.scatter_(1, ids, top_logprobs)


def _log_remainder(logprobs: Tensor) -> Tensor:
    """log(1 − Σ exp) ``[m]``, with the remainder bounded below by 1e-12."""
    total = logprobs.double().exp().sum(dim=1)
    return (1 - total).clamp(min=1e-12).log().float()
