"""Closed forms of the divergences against float64 autograd, and properties of any divergence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.distill.losses import Objective, cross_entropy, generalised_jsd
from tests.distill.reference_loss import divergence as reference_divergence

KINDS = ["forward", "reverse", "jsd"]
objectives = st.builds(
    Objective,
    divergence=st.sampled_from(KINDS),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    jsd_weight=st.sampled_from([0.05, 0.1, 0.5, 0.9, 0.95]),
)


def random_logits(seed: int, *, size: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits ``[5, 17]`` of a teacher and of a student."""
    generator = torch.Generator().manual_seed(seed)
    teacher, student = (size * torch.randn(5, 17, generator=generator) for _ in range(2))
    return teacher, student


def divergence_of(objective: Objective, teacher: torch.Tensor, student: torch.Tensor):
    return objective.divergence_of(
        *(torch.log_softmax(logits.float() / objective.temperature, dim=1) for logits in (teacher, student))
    )


@settings(max_examples=100)
@given(objective=objectives, seed=st.integers(0, 2**31), size=st.sampled_from([0.01, 1.0, 5.0, 20.0]))
def test_value_and_gradient_follow_the_definition(objective, seed, size):
    teacher, student = random_logits(seed, size=size)
    leaf = student.double().requires_grad_(True)
    p, q = (torch.softmax(logits / objective.temperature, dim=1) for logits in (teacher.double(), leaf))
    expected = objective.temperature**2 * reference_divergence(p, q, objective.divergence, objective.jsd_weight)
    expected.sum().backward()
    value, gradient = divergence_of(objective, teacher, student)
    # float32 holds a logit of size 100 to 4e-6 only, and a gradient is a probability times a difference of two logits.
    rounding = torch.finfo(torch.float32).eps * max(float(logits.abs().max()) for logits in (teacher, student))
    tolerance = max(2e-5 * objective.temperature, 8 * rounding)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=2e-5, atol=max(2e-5, tolerance))
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=2e-5, atol=tolerance)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), size=st.sampled_from([0.01, 1.0, 20.0]))
def test_cross_entropy_agrees_with_torch(seed, size):
    student, _ = random_logits(seed, size=size)
    labels = torch.randint(0, 17, (5,), generator=torch.Generator().manual_seed(seed))
    leaf = student.double().requires_grad_(True)
    expected = torch.nn.functional.cross_entropy(leaf, labels, reduction="none")
    expected.sum().backward()
    value, gradient = cross_entropy(torch.log_softmax(student, dim=1), labels)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=1e-5, atol=1e-6)


@settings(max_examples=50)
@given(objective=objectives, seed=st.integers(0, 2**31))
def test_a_divergence_is_never_negative_and_its_gradient_sums_to_zero(objective, seed):
    teacher, _ = random_logits(seed)
    noise = torch.randn(teacher.shape, generator=torch.Generator().manual_seed(seed))
    value, gradient = divergence_of(objective, teacher.bfloat16(), (teacher + 1e-3 * noise).bfloat16())
    assert (value >= 0).all()
    assert gradient.sum(dim=1).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient(kind, dtype):
    teacher, _ = random_logits(0)
    value, gradient = divergence_of(Objective(kind, temperature=2.0), teacher.to(dtype), teacher.to(dtype))
    if kind != "jsd":  # its mixture distribution is rounded
        assert value.eq(0).all()
        assert gradient.eq(0).all()
    assert value.max() < 1e-6
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_factor_t_squared_keeps_the_scale_of_the_gradient(kind):
    """For small logits the gradient is (z_s − z_t) / V to first order at any T; without T² it would fall by T²."""
    teacher, student = random_logits(1, size=0.01)
    norms = [
        float(divergence_of(Objective(kind, temperature=t), teacher, student).gradient.norm()) for t in (1.0, 2.0, 4.0)
    ]
    assert norms == pytest.approx([norms[0]] * 3, rel=0.02)


def test_the_gradient_for_small_logits_is_their_difference_by_the_size_of_the_vocabulary():
    teacher, student = random_logits(1, size=0.01)
    centred = (student - teacher) - (student - teacher).mean(dim=1, keepdim=True)
    for temperature in (1.0, 4.0):
        gradient = divergence_of(Objective("forward", temperature=temperature), teacher, student).gradient
        torch.testing.assert_close(gradient, centred / 17, rtol=0.1, atol=1e-5)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.8])
def test_jsd_with_exchanged_arguments_is_jsd_of_the_complementary_weight(weight):
    log_p, log_q = (torch.log_softmax(logits, dim=1) for logits in random_logits(4))
    value = generalised_jsd(log_p.clone(), log_q.clone(), weight).value
    torch.testing.assert_close(value, generalised_jsd(log_q, log_p, 1 - weight).value)
    entropy_of_weight = -(weight * torch.tensor(weight).log() + (1 - weight) * torch.tensor(1 - weight).log())
    assert (value <= entropy_of_weight).all()


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_give_finite_values(kind):
    teacher, student = torch.tensor([[1e4, 0.0, -1e4]]), torch.tensor([[-1e4, 0.0, 1e4]])
    value, gradient = divergence_of(Objective(kind), teacher, student)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_kl_in_the_two_directions_weighs_by_the_distribution_named_first():
    """p is certain of one of two outcomes and q of neither: KL(p ‖ q) = log 2, and KL(q ‖ p) is unbounded."""
    log_p = torch.tensor([[1 - 1e-6, 1e-6]]).log()
    log_q = torch.tensor([[0.5, 0.5]]).log()
    forward, reverse = (
        Objective(kind).divergence_of(log_p.clone(), log_q.clone()).value for kind in ("forward", "reverse")
    )
    assert float(forward) == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-4)
    assert float(reverse) > 6
    for kind, value in (("forward", forward), ("reverse", reverse)):
        assert float(reference_divergence(log_p.exp(), log_q.exp(), kind, 0.5)) == pytest.approx(float(value), rel=1e-4)
