"""The divergence that a soft student minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

IGNORED = -100


def forward_kl(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float, vocabulary: int
) -> Tensor:
    """Sum over predicted tokens of ``T² · KL(teacher ‖ student)`` at temperature T (arXiv 2601.15394).

    Args:
        student_logits: ``[batch, tokens, ≥ vocabulary]``; position t predicts token t + 1.
        teacher_logits: the same of the teacher; its embedding may be padded to another size.
        labels: ``[batch, tokens]`` int64; a token marked −100 is not predicted.
        temperature: T; the factor T² keeps the gradient's scale independent of it.
        vocabulary: ids the tokenizer knows; both distributions are taken over these alone.

    Returns:
        Scalar, float32: a sum, so that the caller divides by the tokens of the whole step.
    """
    predicted = labels[:, 1:] != IGNORED
    student = log_softmax(student_logits[:, :-1, :vocabulary].float() / temperature, dim=-1)
    teacher = log_softmax(teacher_logits[:, :-1, :vocabulary].float() / temperature, dim=-1)
    divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
    # Masked after the sum: picking rows of logits first would cost a scatter over the vocabulary backward.
    return temperature**2 * torch.where(predicted, divergence, 0.0).sum()
