"""What a step must give: the objective from its definition, in float64, by autograd over whole logits."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

IGNORED = -100


def divergence(p: Tensor, q: Tensor, kind: str, weight: float) -> Tensor:
    """D(teacher p, student q) of each row of probabilities."""

    def kl(one: Tensor, other: Tensor) -> Tensor:
        return (one * (one.log() - other.log())).sum(dim=-1)

    if kind == "forward":
        return kl(p, q)
    if kind == "reverse":
        return kl(q, p)
    middle = weight * p + (1 - weight) * q
    return weight * kl(p, middle) + (1 - weight) * kl(q, middle)


def objective_loss(
    student: Tensor,
    teacher: Tensor | None,
    labels: Tensor,
    *,
    kind: str | None,
    temperature: float = 1.0,
    weight: float = 0.5,
    share: float = 0.0,
    vocabulary: int,
) -> Tensor:
    """Sum over predicted tokens, of logits ``[batch, tokens, vocabulary or more]``; token t + 1 is predicted at t."""
    predicted = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][predicted]
    z_student = student[:, :-1][predicted].double()
    log_likelihood = z_student.log_softmax(dim=-1)[torch.arange(len(targets)), targets]
    if kind is None or teacher is None:
        return -log_likelihood.sum()
    z_teacher = teacher[:, :-1][predicted].double()
    p, q = ((z[:, :vocabulary] / temperature).softmax(dim=-1) for z in (z_teacher, z_student))
    soft = temperature**2 * divergence(p, q, kind, weight)
    return (1 - share) * soft.sum() - share * log_likelihood.sum()


def of_models(student: nn.Module, teacher: nn.Module | None, rows: list[list[int]], **objective) -> tuple[float, dict]:
    """Loss a predicted token and the gradient of every parameter, by whole float64 models, one row at a time."""
    exact = copy.deepcopy(student).double().train()
    judge = None if teacher is None else copy.deepcopy(teacher).double().eval()
    tokens = sum(max(len(row) - 1, 0) for row in rows)
    total = 0.0
    for row in rows:
        if len(row) < 2:
            continue
        ids = torch.tensor([row])
        with torch.no_grad():
            said = None if judge is None else judge(input_ids=ids).logits
        loss = objective_loss(exact(input_ids=ids).logits, said, ids, **objective) / tokens
        loss.backward()
        total += loss.item()
    return total, {name: weight.grad for name, weight in exact.named_parameters()}


def assert_gradients(found: dict, expected: dict, *, within: float = 1e-5) -> None:
    """Each within a part of the tensor's largest value; what is 0 but for rounding is measured by all the rest."""
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        bound = within * max(float(gradient.abs().max()), 1e-2 * largest)
        apart = float((found[name].double() - gradient).abs().max())
        assert apart <= bound, f"{name}: {apart:.3g} > {bound:.3g}"
