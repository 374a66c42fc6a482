"""Where the teacher's log-probabilities come from: a model beside the student, or what was stored of one."""

from __future__ import annotations

import torch
from torch import Tensor, log_softmax, nn
from transformers import PreTrainedModel

from pytest_kdmem.distill.chunked_loss import computing_dtype, project
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError


class LiveTeacher:
    """A frozen model that reads the same batch as the student; it is no part of what is trained or saved."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        self.model = model.eval().requires_grad_(False)
        self._head = StandardHead(model)
        self._temperature = temperature
        if not self._head.linear.weight.any():  # as launchers of sharded models leave what they mean to fill later
            raise EngineError(
                f"Weights were expected of teacher {type(model).__name__}, and its head holds zeros; check the"
                " checkpoint."
            )

    def to(self, device: torch.device) -> None:
        nn.Module.to(self.model, device)

    @torch.inference_mode()
    def read(self, ids: Tensor, positions: Tensor | None, predicted: Tensor) -> LiveOutputs:
        """Backbone over ``[batch, tokens]`` ids; kept are the states before predicted tokens.

        Args:
            positions: ``[batch, tokens]``, or None where each row is one example.
            predicted: bool ``[batch, tokens − 1]``: whether token t + 1 is predicted.
        """
        hidden = self._head.backbone(ids, positions)[:, :-1][predicted]
        linear, dtype = self._head.linear, computing_dtype(self._head.linear.weight)
        return LiveOutputs(
            hidden.to(dtype),
            linear.weight.to(dtype),
            None if linear.bias is None else linear.bias.to(dtype),
            self._head.scale,
            self._head.soft_cap,
            self._temperature,
        )


class LiveOutputs:
    """``hidden``: ``[m, width]`` at m predicted positions; the rest is the teacher's head.

    No dataclass, and nor is `StoredOutputs`: FSDP would cast the tensors in one to the model's dtype.
    """

    def __init__(
        self,
        hidden: Tensor,
        matrix: Tensor,
        offset: Tensor | None,
        scale: float,
        soft_cap: float | None,
        temperature: float,
    ) -> None:
        self.hidden, self.matrix, self.offset = hidden, matrix, offset
        self.scale, self.soft_cap, self.temperature = scale, soft_cap, temperature

    @torch.inference_mode()
    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        logits = project(self.hidden[positions], self.matrix, self.offset, self.scale, self.soft_cap)
        return log_softmax(logits[:, : student_logprobs.shape[1]].div_(self.temperature), dim=1)


class StoredOutputs:
    """The teacher's k most probable ids at m positions, ``[m, k]`` int64, with log-probabilities, float32, at T."""

    def __init__(self, ids: Tensor, top_logprobs: Tensor) -> None:
        self.ids, self.top_logprobs = ids, top_logprobs

    def logprobs(self, positions: slice, student_logprobs: Tensor) -> Tensor:
        """The stored ones; the mass of the rest is shared out as the student does.

        So the tail is one outcome: KL(teacher ‖ student) over the k ids and "any other", and its gradient, q − p, is
        that of the completed distribution held fixed.
        """
        ids, top = self.ids[positions], self.top_logprobs[positions]
        tail = _log_of_rest(top)
        # Summed up, as 1 − Σ cannot tell a sure student's rest from 0.
        student_tail = student_logprobs.scatter(1, ids, -torch.inf).logsumexp(dim=1)
        completed = student_logprobs + (tail - student_tail)[:, None]
        return completed.scatter_(1, ids, top)


def _log_of_rest(logprobs: Tensor) -> Tensor:
    """log(1 − Σ exp) ``[m]``, no less than what float32 can tell from 0."""
    total = logprobs.double().exp().sum(dim=1)
    return (1 - total).clamp(min=1e-12).log().float()
