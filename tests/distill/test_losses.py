"""The soft loss against a float64 reference, and the properties that other trainers got wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from pytest_kdmem.distill.losses import IGNORED, forward_kl


def random_case(seed=0, batch=3, tokens=7, vocabulary=11):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(batch, tokens, vocabulary, generator=generator) for _ in range(2))
    labels = torch.randint(0, vocabulary, (batch, tokens), generator=generator)
    labels[0, 4:] = IGNORED
    labels[2, :3] = IGNORED
    return student, teacher, labels


def reference(student, teacher, labels, temperature):
    """T² Σ p_T log(p_T / q_T) over the tokens that are predicted, in float64."""
    total = 0.0
    for row in range(labels.shape[0]):
        for at in range(1, labels.shape[1]):
            if labels[row, at] != IGNORED:
                p = log_softmax(teacher[row, at - 1].double().numpy() / temperature)
                q = log_softmax(student[row, at - 1].double().numpy() / temperature)
                total += temperature**2 * float(np.sum(np.exp(p) * (p - q)))
    return total


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_equals_the_reference(temperature):
    student, teacher, labels = random_case()
    found = forward_kl(student, teacher, labels, temperature=temperature, vocabulary=11)
    assert float(found) == pytest.approx(reference(student, teacher, labels, temperature), rel=1e-5)


def test_a_student_that_is_its_teacher_has_a_loss_of_exactly_zero():
    student, _, labels = random_case()
    for dtype in (torch.float32, torch.bfloat16):
        assert float(forward_kl(student.to(dtype), student.to(dtype), labels, temperature=2, vocabulary=11)) == 0.0


def test_it_is_never_negative_in_bfloat16():
    for seed in range(50):
        student, _, labels = random_case(seed)
        near = (student + 1e-2 * torch.randn_like(student)).bfloat16()
        assert float(forward_kl(student.bfloat16(), near, labels, temperature=2, vocabulary=11)) >= 0


def test_the_first_label_and_the_last_logits_predict_nothing():
    student, teacher, labels = random_case()
    before = forward_kl(student, teacher, labels, temperature=2, vocabulary=11)
    labels[:, 0] = IGNORED
    student[:, -1] += 5
    assert float(forward_kl(student, teacher, labels, temperature=2, vocabulary=11)) == float(before)


def test_padded_embeddings_are_cut_to_the_tokenizer():
    student, teacher, labels = random_case()
    plain = forward_kl(student, teacher, labels, temperature=2, vocabulary=11)
    padded = torch.cat([student, torch.full((*student.shape[:2], 5), 9.0)], dim=-1)
    other = torch.cat([teacher, torch.full((*student.shape[:2], 2), -3.0)], dim=-1)
    assert float(forward_kl(padded, other, labels, temperature=2, vocabulary=11)) == float(plain)


def test_a_batch_without_predicted_tokens_gives_zero_and_no_nan():
    student, teacher, labels = random_case()
    student.requires_grad_(True)
    loss = forward_kl(student, teacher, torch.full_like(labels, IGNORED), temperature=2, vocabulary=11)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not student.grad.isnan().any()


def test_t_squared_keeps_the_scale_of_the_gradient():
    """To first order in 1/T the gradient is that of T → ∞, (z_s − z_t) / V for centred logits, whatever T."""
    student, teacher, labels = random_case()
    norms = []
    for temperature in (50.0, 100.0, 200.0):
        logits = student.clone().requires_grad_(True)
        forward_kl(logits, teacher, labels, temperature=temperature, vocabulary=11).backward()
        norms.append(float(logits.grad.norm()))
    assert norms[0] == pytest.approx(norms[2], rel=0.05)


def test_the_gradient_is_that_of_the_reference():
    student, teacher, labels = random_case()
    logits = student.clone().requires_grad_(True)
    forward_kl(logits, teacher, labels, temperature=2, vocabulary=11).backward()
    # d/dz_s of T² KL = T (q_T − p_T), by hand.
    p, q = (torch.softmax(z.double() / 2, dim=-1) for z in (teacher, student))
    expected = 2 * (q - p)
    mask = torch.zeros_like(labels, dtype=torch.bool)
    mask[:, :-1] = labels[:, 1:] != IGNORED
    expected[~mask] = 0
    torch.testing.assert_close(logits.grad.double(), expected, atol=1e-5, rtol=1e-4)
