"""The forward pass that returns a loss: which loss, when, and which models it refuses."""

from __future__ import annotations

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from pytest_kdmem.distill.loss_forward import CROSS_ENTROPY, forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.errors import EngineError


def test_the_models_own_forward_returns_afterwards(toy):
    model = toy("neox")
    ids = torch.tensor([[1, 2, 3]])
    before = model(input_ids=ids).logits
    with forward_returns_loss(model, Objective()):
        assert model(input_ids=ids, labels=ids).shape == ()
        # Without labels there is nothing to lose, and whoever measures the model gets its logits.
        assert torch.equal(model(input_ids=ids, use_cache=False, logits_to_keep=2).logits, before[:, 1:])
    assert torch.equal(model(input_ids=ids).logits, before)


def test_in_evaluation_mode_the_loss_is_cross_entropy(toy):
    student, teacher = toy("neox", seed=1), toy("neox", seed=2)
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = student(input_ids=ids).logits[0, :-1]
    expected = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
    outputs = LiveTeacher(teacher, 2.0).outputs(ids, None, torch.ones(1, 3, dtype=torch.bool))
    with forward_returns_loss(student, Objective("forward", 2.0, vocabulary=61)):
        losses = {
            is_training: student.train(is_training)(input_ids=ids, labels=ids, teacher=outputs).item()
            for is_training in (True, False)
        }
    assert losses[False] == pytest.approx(expected, rel=1e-5)
    assert losses[True] != pytest.approx(expected, rel=1e-2)


def test_a_model_with_router_losses_is_refused():
    config = MixtralConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=2, output_router_logits=True,
    )  # fmt: skip
    with (
        pytest.raises(EngineError, match="Set output_router_logits to false"),
        forward_returns_loss(MixtralForCausalLM(config), CROSS_ENTROPY),
    ):
        pass
