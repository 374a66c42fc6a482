"""Closed forms of the divergences against float64 autograd, and what must hold of any divergence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.distill.losses import Objective, cross_entropy, generalised_jsd
from tests.distill.reference_loss import divergence as reference

KINDS = ["forward", "reverse", "jsd"]
objectives = st.builds(
    Objective,
    divergence=st.sampled_from(KINDS),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    jsd_weight=st.sampled_from([0.05, 0.1, 0.5, 0.9, 0.95]),
)


def logits(
    seed: int, *, size: float = 3.0, positions: int = 5, vocabulary: int = 17
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    teacher, student = (size * torch.randn(positions, vocabulary, generator=generator) for _ in range(2))
    return teacher, student


def found(objective: Objective, teacher: torch.Tensor, student: torch.Tensor):
    return objective.divergence_of(
        *(torch.log_softmax(z.float() / objective.temperature, dim=1) for z in (teacher, student))
    )


@settings(max_examples=150)
@given(objective=objectives, seed=st.integers(0, 2**31), size=st.sampled_from([0.01, 1.0, 5.0, 20.0]))
def test_value_and_gradient_are_those_of_the_definition(objective, seed, size):
    teacher, student = logits(seed, size=size)
    leaf = student.double().requires_grad_(True)
    p, q = (torch.softmax(z / objective.temperature, dim=1) for z in (teacher.double(), leaf))
    expected = objective.temperature**2 * reference(p, q, objective.divergence, objective.jsd_weight)
    expected.sum().backward()
    value, gradient = found(objective, teacher, student)
    # A float32 logit of size 100 is known to 4e-6 only, and a gradient is a probability times a difference of two.
    rounding = torch.finfo(torch.float32).eps * max(float(z.abs().max()) for z in (teacher, student))
    tolerance = max(2e-5 * objective.temperature, 8 * rounding)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=2e-5, atol=max(2e-5, tolerance))
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=2e-5, atol=tolerance)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), size=st.sampled_from([0.01, 1.0, 20.0]))
def test_cross_entropy_is_torchs(seed, size):
    student, _ = logits(seed, size=size)
    labels = torch.randint(0, 17, (5,), generator=torch.Generator().manual_seed(seed))
    leaf = student.double().requires_grad_(True)
    expected = torch.nn.functional.cross_entropy(leaf, labels, reduction="none")
    expected.sum().backward()
    value, gradient = cross_entropy(torch.log_softmax(student, dim=1), labels)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=1e-5, atol=1e-6)


@settings(max_examples=50)
@given(objective=objectives, seed=st.integers(0, 2**31))
def test_it_is_never_negative_however_near_and_the_gradient_sums_to_zero(objective, seed):
    teacher, _ = logits(seed)
    near = (teacher + 1e-3 * torch.randn(teacher.shape, generator=torch.Generator().manual_seed(seed))).bfloat16()
    value, gradient = found(objective, teacher.bfloat16(), near)
    assert (value >= 0).all()
    assert gradient.sum(dim=1).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(kind, dtype):
    teacher, _ = logits(0)
    value, gradient = found(Objective(kind, temperature=2.0), teacher.to(dtype), teacher.to(dtype))
    if kind != "jsd":  # whose middle distribution is rounded
        assert value.eq(0).all()
        assert gradient.eq(0).all()
    assert value.max() < 1e-6
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_t_squared_keeps_the_scale_of_the_gradient(kind):
    """For small logits the gradient is (z_s − z_t) / V to first order, whatever T: without T² it would fall by T²."""
    teacher, student = logits(1, size=0.01)
    norms = [float(found(Objective(kind, temperature=t), teacher, student).gradient.norm()) for t in (1.0, 2.0, 4.0)]
    assert norms == pytest.approx([norms[0]] * 3, rel=0.02)


def test_the_scale_is_that_of_first_order():
    teacher, student = logits(1, size=0.01)
    centred = (student - teacher) - (student - teacher).mean(dim=1, keepdim=True)
    for temperature in (1.0, 4.0):
        gradient = found(Objective("forward", temperature=temperature), teacher, student).gradient
        torch.testing.assert_close(gradient, centred / 17, rtol=0.1, atol=1e-5)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.8])
def test_jsd_with_the_roles_exchanged_is_jsd_of_the_other_weight(weight):
    log_p, log_q = (torch.log_softmax(z, dim=1) for z in logits(4))
    one, other = generalised_jsd(log_p, log_q, weight), generalised_jsd(log_q, log_p, 1 - weight)
    torch.testing.assert_close(one.value, other.value)
    entropy_of_weight = -(weight * torch.tensor(weight).log() + (1 - weight) * torch.tensor(1 - weight).log())
    assert (one.value <= entropy_of_weight).all()


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_give_finite_values(kind):
    teacher, student = torch.tensor([[1e4, 0.0, -1e4]]), torch.tensor([[-1e4, 0.0, 1e4]])
    value, gradient = found(Objective(kind), teacher, student)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
