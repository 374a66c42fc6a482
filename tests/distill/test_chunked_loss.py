"""Head and loss in chunks, in a real model's own pass: loss and every gradient against the float64 reference."""

from __future__ import annotations

import pytest
import torch

from pytest_kdmem.distill import chunked_loss
from pytest_kdmem.distill.batches import Collator, predicted_mask
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher
from tests.distill.reference_loss import IGNORED, assert_gradients, of_models

HEADS = ["neox", "qwen3", "cohere", "gemma2", "gptj"]


def step(model, teacher, rows, objective, *, packing=False):
    """Loss a token and gradients as the package takes them."""
    batch = Collator(packing)([{"input_ids": row} for row in rows])
    predicted = predicted_mask(batch["labels"])
    view = None
    if teacher is not None:
        view = LiveTeacher(teacher, objective.temperature).outputs(
            batch["input_ids"], batch.get("position_ids"), predicted
        )
    model.zero_grad()
    with forward_returns_loss(model.eval(), objective):
        model.train()
        loss = model(**batch, teacher=view) / predicted.sum().clamp(min=1)
        loss.backward()
    return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters()}


def as_reference(objective: Objective) -> dict:
    return {
        "kind": objective.divergence,
        "temperature": objective.temperature,
        "weight": objective.jsd_weight,
        "share": objective.cross_entropy_weight,
        "vocabulary": objective.vocabulary,
    }


def agrees(model, teacher, rows, objective, **how):
    loss, gradients = step(model, teacher, rows, objective, **how)
    expected, exact = of_models(model, teacher, rows, **as_reference(objective))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert_gradients(gradients, exact)


OBJECTIVES = [
    *[
        Objective("forward", temperature, cross_entropy_weight=share, vocabulary=61)
        for temperature, share in [(0.5, 0.0), (1.0, 0.3), (2.0, 0.0), (4.0, 0.5), (2.0, 1.0)]
    ],
    *[
        Objective("reverse", temperature, cross_entropy_weight=share, vocabulary=61)
        for temperature, share in [(0.5, 0.5), (1.0, 0.0), (2.0, 0.3), (4.0, 0.0)]
    ],
    *[
        Objective("jsd", temperature, jsd_weight=weight, cross_entropy_weight=share, vocabulary=61)
        for temperature, weight, share in [(0.5, 0.1, 0.0), (1.0, 0.5, 0.5), (2.0, 0.5, 0.0), (4.0, 0.9, 0.3)]
    ],
    Objective(vocabulary=61),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_every_objective_is_the_references(toy, unequal_rows, objective):
    agrees(toy("neox", seed=1), toy("neox", seed=2), unequal_rows, objective)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(
    "objective",
    [Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61), Objective("reverse", 2.0, vocabulary=61)],
    ids=str,
)
def test_every_kind_of_head_is_the_references(toy, unequal_rows, kind, objective):
    agrees(toy(kind, seed=1), toy(kind, seed=2), unequal_rows, objective)


@pytest.mark.parametrize("kind", ["neox", "gemma2", "gptj"])
@pytest.mark.parametrize("positions", [1, 7, 1000])
def test_the_size_of_chunks_changes_nothing(toy, unequal_rows, kind, positions, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", {"cpu": 4 * 61 * positions})
    assert chunked_loss.chunk_positions(61, torch.device("cpu")) == positions
    agrees(
        toy(kind, seed=1),
        toy(kind, seed=2),
        unequal_rows,
        Objective("jsd", 2.0, cross_entropy_weight=0.3, vocabulary=61),
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["neox", "olmo2", "qwen3", "cohere", "gemma2", "gptj", "gpt2"])
def test_packed_rows_do_not_see_each_other(toy, unequal_rows, kind, attention):
    """Rows side by side in one line give what each gives alone, to student and teacher."""
    packed = Collator(True)([{"input_ids": row} for row in unequal_rows])
    assert len(packed["input_ids"]) < len(unequal_rows)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    how = {} if (kind, attention) == ("gptj", "sdpa") else {"attn_implementation": attention}  # which it does not have
    agrees(toy(kind, seed=1, **how), toy(kind, seed=2), unequal_rows, objective, packing=True)


@pytest.mark.parametrize(
    "objective", [Objective("forward", 2.0, vocabulary=61), Objective("jsd", 2.0, vocabulary=61)], ids=str
)
@pytest.mark.parametrize(("for_student", "for_teacher"), [(64, 80), (80, 64), (61, 64), (64, 61)])
def test_padding_rows_of_the_head_learn_nothing_from_the_teacher(
    toy, unequal_rows, objective, for_student, for_teacher
):
    model, judge = toy("neox", seed=1, vocabulary=for_student), toy("neox", seed=2, vocabulary=for_teacher)
    with torch.no_grad():  # padding so likely that it would show
        for one in (model, judge):
            one.get_output_embeddings().weight[61:] = one.get_output_embeddings().weight[:1] * 4
    agrees(model, judge, unequal_rows, objective)
    assert model.get_output_embeddings().weight.grad[61:].eq(0).all()
    assert model.get_output_embeddings().weight.grad[:61].ne(0).any()


def test_cross_entropy_keeps_padding_rows_improbable(toy, unequal_rows):
    model, judge = toy("neox", seed=1, vocabulary=64), toy("neox", seed=2, vocabulary=80)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.5, vocabulary=61)
    agrees(model, judge, unequal_rows, objective)
    assert model.get_output_embeddings().weight.grad[61:].ne(0).any(dim=1).all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_a_student_that_is_its_teacher_loses_exactly_nothing(toy, unequal_rows, kind, divergence):
    for context in (torch.autocast("cpu", enabled=False), torch.autocast("cpu", torch.bfloat16)):
        model = toy(kind, seed=1)
        with context:
            loss, gradients = step(model, toy(kind, seed=1), unequal_rows, Objective(divergence, 2.0, vocabulary=61))
        assert loss == 0.0
        assert all(gradient.eq(0).all() for gradient in gradients.values())


def test_a_loss_under_autocast_is_near_and_not_negative(toy, unequal_rows):
    for seed in range(10):
        model, judge = toy("qwen3", seed=seed), toy("qwen3", seed=seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 1e-3 * torch.randn_like(weight)
        with torch.autocast("cpu", torch.bfloat16):
            loss, gradients = step(model, judge, unequal_rows, Objective("forward", 2.0, vocabulary=61))
        assert 0 <= loss < 1e-2
        assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_gradients_under_autocast_are_those_of_float32_but_for_rounding(toy, unequal_rows):
    model, judge = toy("gptj", seed=1), toy("gptj", seed=2)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    with torch.autocast("cpu", torch.bfloat16):
        loss, gradients = step(model, judge, unequal_rows, objective)
    expected, exact = of_models(model, judge, unequal_rows, **as_reference(objective))
    assert loss == pytest.approx(expected, rel=3e-2)
    head = [name for name in gradients if name.startswith("lm_head")]
    assert len(head) == 2
    for name in head:
        assert gradients[name].dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(gradients[name].double().flatten(), exact[name].flatten(), dim=0)
        assert cosine > 0.995


@pytest.mark.parametrize("divergence", ["forward", "reverse", "jsd", None])
def test_a_batch_that_predicts_nothing_gives_zero_and_no_nan(toy, divergence):
    """As the empty rows that fill up the last step do, when they are a pass of their own."""
    objective = Objective(divergence, 2.0, vocabulary=61)
    judge = toy("neox", seed=2) if divergence else None
    for rows in ([[], []], [[5], [7]]):
        loss, gradients = step(toy("neox", seed=1), judge, rows, objective)
        assert loss == 0
        assert all(gradient.eq(0).all() for gradient in gradients.values())


def test_the_first_label_and_the_last_logits_predict_nothing(toy):
    """Token t + 1 is predicted at t; what stands first is never a target, and the last position has none."""
    model, judge = toy("neox", seed=1), toy("neox", seed=2)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.5, vocabulary=61)
    row = [5, 6, 7, 8]
    losses = [step(model, judge, [row[:at]], objective)[0] * (at - 1) for at in (2, 3, 4)]
    batch = Collator()([{"input_ids": row}])
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, 8]]
    assert int(predicted_mask(batch["labels"]).sum()) == 3
    # Causal: the sum grows by one term a token, and a row of one token has none.
    for tokens, loss in zip((2, 3, 4), losses, strict=True):
        expected, _ = of_models(model, judge, [row[:tokens]], **as_reference(objective))
        assert loss == pytest.approx(expected * (tokens - 1), rel=1e-5)
    assert losses[0] < losses[1] < losses[2]


def test_a_frozen_head_or_a_frozen_backbone_is_left_alone(toy, unequal_rows):
    model, judge = toy("gptj", seed=1), toy("gptj", seed=2)
    objective = Objective("forward", 2.0, vocabulary=61)
    _, whole = step(model, judge, unequal_rows, objective)
    for frozen in ("lm_head", "transformer"):
        one = toy("gptj", seed=1)
        for name, weight in one.named_parameters():
            weight.requires_grad_(not name.startswith(frozen))
        batch = Collator()([{"input_ids": row} for row in unequal_rows])
        predicted = predicted_mask(batch["labels"])
        with forward_returns_loss(one, objective):
            one.train()
            view = LiveTeacher(judge, 2.0).outputs(batch["input_ids"], None, predicted)
            (one(**batch, teacher=view) / predicted.sum()).backward()
        for name, weight in one.named_parameters():
            if name.startswith(frozen):
                assert weight.grad is None
            else:
                torch.testing.assert_close(weight.grad, whole[name])


def test_the_models_own_forward_is_back_afterwards(toy):
    model = toy("neox")
    ids = torch.tensor([[1, 2, 3]])
    before = model(input_ids=ids).logits
    with forward_returns_loss(model, Objective()):
        assert model(input_ids=ids, labels=ids).shape == ()
    assert torch.equal(model(input_ids=ids).logits, before)
