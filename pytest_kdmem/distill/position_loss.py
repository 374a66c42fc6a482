"""The loss of a few positions and its gradient, from what the heads of student and teacher give there."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pytest_kdmem.distill.losses import Loss, Objective, cross_entropy
from pytest_kdmem.distill.projection import Projection


class TeacherRows(Protocol):
    """The teacher's log-probabilities at m positions."""

    def logprobs(self, student_logprobs: Tensor) -> Tensor:
        """``[m, vocabulary]`` float32 at the objective's temperature, over the student's vocabulary; a new tensor.

        Args:
            student_logprobs: ``[m, vocabulary]`` float32, at the same temperature.
        """
        ...


def position_loss(
    products: Tensor, labels: Tensor, projection: Projection, objective: Objective, teacher: TeacherRows | None
) -> Loss:
    """Loss ``[m]`` of m positions, and its gradient ``[m, rows]`` with respect to the products.

    Args:
        products: ``[m, rows]`` products of the student's hidden states with the first rows of its head. Without labels
            in the objective, ``rows`` is its vocabulary: padding rows of the head learn nothing from the teacher.
        labels: ``[m]`` int64.
        projection: Makes logits of products.
        objective: The loss of one position.
        teacher: The teacher at the m positions; None if the objective is cross-entropy alone.
    """
    logits = projection.logits(products)
    value, gradient = _loss(logits, labels, objective, teacher)
    slope = projection.soft_cap_slope(logits)
    if slope is not None:
        gradient.mul_(slope)
    return Loss(value, gradient if projection.scale == 1.0 else gradient.mul_(projection.scale))


def _loss(logits: Tensor, labels: Tensor, objective: Objective, teacher: TeacherRows | None) -> Loss:
    """Loss ``[m]`` and its gradient ``[m, rows]`` with respect to float32 logits ``[m, rows]``."""
    if objective.divergence is None or teacher is None:
        return cross_entropy(torch.log_softmax(logits, dim=1), labels)
    student = torch.log_softmax(logits[:, : objective.vocabulary] / objective.temperature, dim=1)
    value, gradient = objective.divergence_of(teacher.logprobs(student), student)
    weight = objective.labels_weight
    if not weight:
        return Loss(value, gradient)
    labels_value, labels_gradient = cross_entropy(torch.log_softmax(logits, dim=1), labels)
    value = value.mul_(1 - weight).add_(labels_value, alpha=weight)
    labels_gradient.mul_(weight)
    labels_gradient[:, : gradient.shape[1]].add_(gradient, alpha=1 - weight)
    return Loss(value, labels_gradient)
