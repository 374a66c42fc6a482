"""Reference for one training step: the objective from its definition, in float64, by autograd over whole logits."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pytest_kdmem.distill.losses import Objective

IGNORED = -100


def divergence(p: Tensor, q: Tensor, kind: str, teacher_weight: float) -> Tensor:
    """D(teacher p, student q) of each row of probabilities."""

    def kl(left: Tensor, right: Tensor) -> Tensor:
        return (left * (left.log() - right.log())).sum(dim=-1)

    if kind == "forward":
        return kl(p, q)
    if kind == "reverse":
        return kl(q, p)
    mixture = teacher_weight * p + (1 - teacher_weight) * q
    return teacher_weight * kl(p, mixture) + (1 - teacher_weight) * kl(q, mixture)


def objective_loss(student: Tensor, teacher: Tensor | None, labels: Tensor, objective: Objective) -> Tensor:
    """Sum over predicted tokens; token t + 1 is predicted at t.

    Args:
        student: Logits ``[batch, tokens, vocabulary or more]``.
        teacher: Logits of the same shape but for padding of the vocabulary.
        labels: ``[batch, tokens]``.
        objective: Settings of the loss; none of its code is used.
    """
    predicted = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][predicted]
    student_logits = student[:, :-1][predicted].double()
    log_likelihood = student_logits.log_softmax(dim=-1)[torch.arange(len(targets)), targets]
    if objective.divergence is None or teacher is None:
        return -log_likelihood.sum()
    temperature, share = objective.temperature, objective.cross_entropy_weight
    teacher_logits = teacher[:, :-1][predicted].double()
    p, q = (
        (logits[:, : objective.vocabulary] / temperature).softmax(dim=-1) for logits in (teacher_logits, student_logits)
    )
    soft = temperature**2 * divergence(p, q, objective.divergence, objective.jsd_weight)
    return (1 - share) * soft.sum() - share * log_likelihood.sum()


def reference_step(
    student: nn.Module, teacher: nn.Module | None, rows: list[list[int]], objective: Objective
) -> tuple[float, dict[str, Tensor]]:
    """Loss per predicted token and the gradient of every parameter, by float64 models, one row at a time."""
    exact_student = copy.deepcopy(student).double().train()
    exact_teacher = None if teacher is None else copy.deepcopy(teacher).double().eval()
    tokens = sum(max(len(row) - 1, 0) for row in rows)
    total = 0.0
    for row in rows:
        if len(row) < 2:
            continue
        ids = torch.tensor([row])
        with torch.no_grad():
            teacher_logits = None if exact_teacher is None else exact_teacher(input_ids=ids).logits
        loss = objective_loss(exact_student(input_ids=ids).logits, teacher_logits, ids, objective) / tokens
        loss.backward()
        total += loss.item()
    return total, {name: weight.grad for name, weight in exact_student.named_parameters()}


def assert_gradients_agree(actual: dict[str, Tensor], expected: dict[str, Tensor], *, tolerance: float = 1e-5) -> None:
    """Each gradient agrees within a share of its largest value.

    A gradient that is 0 but for rounding is measured against the largest gradient of all.
    """
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        bound = tolerance * max(float(gradient.abs().max()), 1e-2 * largest)
        difference = float((actual[name].double() - gradient).abs().max())
        assert difference <= bound, f"{name}: {difference:.3g} > {bound:.3g}"
