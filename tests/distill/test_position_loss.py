"""The loss of a few positions and its gradient are those of autograd in float64, from the head's products on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.position_loss import position_loss
from pytest_kdmem.distill.projection import Projection

POSITIONS, ROWS, VOCABULARY = 7, 13, 11


class Teacher:
    """Log-probabilities that are known, at the objective's temperature."""

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self._logprobs = torch.log_softmax(logits / temperature, dim=1)

    def logprobs(self, student_logprobs: Tensor) -> Tensor:
        assert student_logprobs.shape == self._logprobs.shape
        return self._logprobs.float().clone()


def reference(products: Tensor, labels: Tensor, teacher: Tensor, objective: Objective, head: dict[str, Any]) -> Tensor:
    """Float64 loss of each position, by definition."""
    logits = products * head["scale"]
    if head["soft_cap"]:
        logits = torch.tanh(logits / head["soft_cap"]) * head["soft_cap"]
    labels_loss = functional.cross_entropy(logits, labels, reduction="none")
    if objective.divergence is None:
        return labels_loss
    at = objective.temperature
    p, q = torch.softmax(teacher / at, dim=1), torch.softmax(logits[:, :VOCABULARY] / at, dim=1)
    forward, backward = (p * (p / q).log()).sum(dim=1), (q * (q / p).log()).sum(dim=1)
    divergence = at**2 * (forward if objective.divergence == "forward" else backward)
    weight = objective.cross_entropy_weight
    return (1 - weight) * divergence + weight * labels_loss


@pytest.mark.parametrize("head", [{"scale": 1.0, "soft_cap": None}, {"scale": 0.5, "soft_cap": 3.0}], ids=str)
@pytest.mark.parametrize(
    "objective",
    [
        Objective(),
        Objective("forward", 2.0, vocabulary=VOCABULARY),
        Objective("reverse", 0.7, vocabulary=VOCABULARY),
        Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=VOCABULARY),
    ],
    ids=["cross-entropy", "forward KL", "reverse KL", "both"],
)
def test_value_and_gradient_are_those_of_autograd(objective: Objective, head: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    # Without labels the head's padding rows take no part.
    rows = ROWS if objective.labels_weight else VOCABULARY
    products = torch.randn(POSITIONS, rows, generator=generator, dtype=torch.float64) * 3
    teacher = torch.randn(POSITIONS, VOCABULARY, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(0, VOCABULARY, (POSITIONS,), generator=generator)
    leaf = products.clone().requires_grad_()
    expected = reference(leaf, labels, teacher, objective, head)
    [gradient] = torch.autograd.grad(expected.sum(), leaf)
    loss = position_loss(
        products.float(),
        labels,
        Projection(torch.empty(rows, 1), None, **head),
        objective,
        None if objective.divergence is None else Teacher(teacher, objective.temperature),
    )
    torch.testing.assert_close(loss.value.double(), expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss.gradient.double(), gradient, rtol=1e-4, atol=1e-5)
