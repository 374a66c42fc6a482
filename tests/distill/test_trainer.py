"""One step of the trainer: however it is split, the gradient it takes is that of the float64 reference."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import TrainingArguments

from pytest_kdmem.distill import chunked_loss
from pytest_kdmem.distill.batches import Collator, WholeSteps
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.distill.trainer import DistillationTrainer
from pytest_kdmem.errors import EngineError
from tests.distill.reference_loss import assert_gradients_agree, reference_step

SOFT = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
CROSS_ENTROPY = Objective(vocabulary=61)


@pytest.fixture
def step(tmp_path):
    """Takes one step of gradient descent with rate 1, so that each weight changes by its gradient."""

    def run(model, teacher, rows, *, passes=1, packing=False, objective=SOFT, **arguments):
        model = copy.deepcopy(model)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        trainer = DistillationTrainer(
            teacher=LiveTeacher(copy.deepcopy(teacher), objective.temperature) if teacher else None,
            model=model,
            args=TrainingArguments(
                output_dir=str(tmp_path),
                max_steps=1,
                per_device_train_batch_size=8 // passes,
                gradient_accumulation_steps=passes,
                max_grad_norm=0.0,
                use_cpu=True,
                save_strategy="no",
                logging_steps=1,
                logging_nan_inf_filter=False,
                report_to=[],
                disable_tqdm=True,
                remove_unused_columns=False,
                **arguments,
            ),
            train_dataset=WholeSteps([{"input_ids": row} for row in rows], 8),
            data_collator=Collator(packing),
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)),
        )
        with forward_returns_loss(model, objective):
            trainer.train()
        loss = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
        gradients = {name: before[name] - weight.detach() for name, weight in model.named_parameters()}
        return loss, gradients, trainer

    return run


@pytest.fixture
def assert_step_agrees(step, unequal_rows):
    """Compares one step over rows, by default `unequal_rows`, with the reference."""

    def compare(model, teacher, *, rows=None, objective=SOFT, **settings):
        rows = unequal_rows if rows is None else rows
        loss, gradients, _ = step(model, teacher, rows, objective=objective, **settings)
        expected_loss, expected_gradients = reference_step(model, teacher, rows, objective)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        # A difference of weights is exact to the rounding of the weight, so less exact than the gradient.
        assert_gradients_agree(gradients, expected_gradients, tolerance=5e-5)

    return compare


@pytest.mark.parametrize("packing", [False, True], ids=["unpacked", "packed"])
@pytest.mark.parametrize("passes", [1, 2, 4, 8])
def test_the_split_into_passes_changes_nothing(toy, assert_step_agrees, passes, packing):
    """A mean of the passes' means would differ, and so would a loss divided by the number of passes."""
    assert_step_agrees(toy("qwen3", seed=1), toy("qwen3", seed=2), passes=passes, packing=packing)


@pytest.mark.parametrize("positions", [1, 7])
def test_the_size_of_chunks_changes_nothing(toy, assert_step_agrees, positions, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", {"cpu": 4 * 61 * positions})
    assert_step_agrees(toy("neox", seed=1), toy("neox", seed=2), passes=2)


def test_gradient_checkpointing_changes_nothing(toy, assert_step_agrees):
    assert_step_agrees(toy("neox", seed=1), toy("neox", seed=2), gradient_checkpointing=True)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_empty_rows_that_fill_up_a_step_change_nothing(toy, assert_step_agrees, unequal_rows, passes):
    """Five rows in a step of eight: the last of four passes has empty rows alone."""
    assert_step_agrees(toy("neox", seed=1), toy("neox", seed=2), rows=unequal_rows[:5], passes=passes)


def test_cross_entropy_needs_no_teacher(toy, assert_step_agrees):
    assert_step_agrees(toy("neox", seed=1), None, objective=CROSS_ENTROPY, passes=2)


def test_the_teacher_is_frozen_and_no_part_of_what_is_trained(toy, unequal_rows, step):
    model, teacher = toy("neox", seed=1, attention_dropout=0.0), toy("neox", seed=2, hidden_dropout=0.5)
    _, _, trainer = step(model, teacher, unequal_rows)
    assert trainer.teacher.model is not trainer.model
    assert not any(module is trainer.teacher.model for module in trainer.model.modules())
    assert all(weight.grad is None and not weight.requires_grad for weight in trainer.teacher.model.parameters())
    assert not trainer.teacher.model.training
    trained = {id(weight) for group in trainer.optimizer.param_groups for weight in group["params"]}
    assert not trained & {id(weight) for weight in trainer.teacher.model.parameters()}
    for name, weight in trainer.teacher.model.state_dict().items():
        assert torch.equal(weight, teacher.state_dict()[name])


def test_held_out_loss_is_cross_entropy_per_token(toy, unequal_rows, step):
    _, _, trainer = step(toy("neox", seed=1), toy("neox", seed=2), unequal_rows)
    held_out = unequal_rows[:3]
    expected, _ = reference_step(trainer.model, None, held_out, CROSS_ENTROPY)
    with forward_returns_loss(trainer.model.eval(), SOFT):
        trainer.model.train()
        assert trainer.held_out_loss(WholeSteps([{"input_ids": row} for row in held_out], 8)) == pytest.approx(expected)
        assert trainer.model.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(toy, unequal_rows, step, value):
    model = toy("neox", seed=1)
    with torch.no_grad():
        model.get_output_embeddings().weight[3, 3] = value
    with pytest.raises(
        EngineError, match=r"A finite loss was expected, and it is .* at step 1; lower the learning rate"
    ):
        step(model, None, unequal_rows, objective=CROSS_ENTROPY)
