"""The values of each position against float64 arithmetic by scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from pytest_kdmem.engines.transformers.reduction import reduce_margins, reduce_pair, reduce_positions

POSITIONS, WIDTH, VOCABULARY = 11, 6, 17


def identity(hidden: torch.Tensor) -> torch.Tensor:
    """A head whose hidden states are the logits; cloned, as the reduction overwrites them."""
    return hidden.clone()


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn((POSITIONS, VOCABULARY), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (POSITIONS,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("chunk", [1, 4, POSITIONS, 100])
def test_the_values_of_a_position_are_those_of_scipy_in_any_chunks(logits, targets, chunk):
    positions = reduce_positions(logits, targets, identity, chunk=chunk)
    exact = logits.double().numpy()
    for row, target in enumerate(targets.tolist()):
        others = np.delete(exact[row], target)
        assert float(positions.margin[row]) == pytest.approx(exact[row, target] - others.max(), abs=1e-5)
        assert float(positions.logprob[row]) == pytest.approx(log_softmax(exact[row])[target], abs=1e-5)
        assert float(positions.entropy[row]) == pytest.approx(entropy(softmax(exact[row])), rel=1e-5)
        logprobs, probabilities = log_softmax(exact[row]), softmax(exact[row])
        deviation = np.sqrt(
            np.average((logprobs - np.average(logprobs, weights=probabilities)) ** 2, weights=probabilities)
        )
        standardized = (logprobs[target] + entropy(probabilities)) / deviation
        assert float(positions.standardized[row]) == pytest.approx(standardized, rel=1e-4)
    assert torch.equal(reduce_margins(logits, targets, identity, chunk=chunk), positions.margin)


def test_a_masked_token_has_no_part_in_the_entropy(logits, targets):
    masked = (int(targets[0]) + 1) % VOCABULARY
    logits[:, masked] = -torch.inf
    kept = [token for token in range(VOCABULARY) if token != masked]
    positions = reduce_positions(logits[:1], targets[:1], identity, chunk=4)
    expected = entropy(softmax(logits[0].double().numpy()[kept]))
    assert float(positions.entropy[0]) == pytest.approx(expected, rel=1e-5)
    assert positions.standardized.isfinite().all()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_logit_makes_the_logprob_nan(logits, targets, broken):
    logits[3, (int(targets[3]) + 1) % VOCABULARY] = broken
    positions = reduce_positions(logits, targets, identity, chunk=4)
    assert positions.logprob.isnan().nonzero().flatten().tolist() == [3]
    assert reduce_margins(logits, targets, identity, chunk=4).isnan().nonzero().flatten().tolist() == [3]


def test_margins_of_half_precision_are_those_of_its_logits_in_float32(logits, targets):
    logits = logits.bfloat16()
    margins = reduce_margins(logits, targets, identity, chunk=4)
    assert torch.equal(margins, reduce_positions(logits, targets, identity, chunk=4).margin)


def test_a_target_that_the_model_masks_is_a_sure_miss_and_not_broken(logits, targets):
    logits[3, targets[3]] = -torch.inf
    positions = reduce_positions(logits, targets, identity, chunk=4)
    assert positions.margin[3] == positions.logprob[3] == -torch.inf
    assert reduce_margins(logits, targets, identity, chunk=4)[3] == -torch.inf


def test_large_logits_lose_no_digits(logits, targets):
    far = reduce_positions(logits + 1e4, targets, identity, chunk=4)
    near = reduce_positions((logits + 1e4) - 1e4, targets, identity, chunk=4)
    for first, second in zip(far, near, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("chunk", [3, 100])
def test_a_pair_has_the_values_of_each_model_and_the_divergence_over_the_tokenizer(logits, targets, chunk):
    targets = targets.clamp(max=VOCABULARY - 3)
    padded = torch.cat([2 - logits, torch.full((POSITIONS, 4), 9.0)], dim=1)
    pair = reduce_pair((logits, identity), (padded, identity), targets, vocabulary=VOCABULARY - 2, chunk=chunk)
    for positions, own in ((pair.teacher, logits), (pair.baseline, padded)):
        alone = reduce_positions(own, targets, identity, chunk=chunk)
        for together, separate in zip(positions, alone, strict=True):
            assert torch.equal(together, separate)
    p, q = (softmax(own[:, : VOCABULARY - 2].double().numpy(), axis=1) for own in (logits, padded))
    np.testing.assert_allclose(pair.divergence.numpy(), entropy(p, q, axis=1), rtol=1e-4)


def test_the_forward_divergence_is_not_the_reverse_one():
    teacher, baseline = torch.tensor([[3.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, -2.0]])
    p, q = (model.double().softmax(1).numpy() for model in (teacher, baseline))
    forward, reverse = entropy(p, q, axis=1)[0], entropy(q, p, axis=1)[0]
    assert forward != pytest.approx(reverse, rel=1e-2)
    assert divergence(teacher, baseline) == pytest.approx(forward, rel=1e-5)


def test_tokens_that_the_teacher_gives_no_probability_add_nothing():
    masked = torch.tensor([[1.0, 0.0, -torch.inf]])
    whole = torch.tensor([[1.0, 0.0, 5.0]])
    assert divergence(masked, masked) == 0.0
    assert np.isfinite(divergence(masked, whole))
    assert divergence(whole, masked) == np.inf


def divergence(teacher: torch.Tensor, baseline: torch.Tensor) -> float:
    targets = torch.zeros(1, dtype=torch.int64)
    pair = reduce_pair((teacher, identity), (baseline, identity), targets, vocabulary=teacher.shape[1], chunk=1)
    return float(pair.divergence)
