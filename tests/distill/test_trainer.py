"""One step of the trainer, read as the gradient it took: however it is split up, that of the float64 reference."""

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
from tests.distill.reference_loss import assert_gradients, of_models

SOFT = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
REFERENCE = {"kind": "forward", "temperature": 2.0, "share": 0.3, "vocabulary": 61}


@pytest.fixture
def step(tmp_path):
    """Takes one step of plain gradient descent at rate 1, so the way of each weight is its gradient."""

    def run(model, teacher, rows, *, passes=1, packing=False, objective=SOFT, **arguments):
        model = copy.deepcopy(model)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        data = WholeSteps([{"input_ids": row} for row in rows], 8)
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
            train_dataset=data,
            data_collator=Collator(packing),
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)),
        )
        with forward_returns_loss(model, objective):
            trainer.train()
        loss = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
        moved = {name: before[name] - weight.detach() for name, weight in model.named_parameters()}
        return loss, moved, trainer

    return run


def agrees(found, model, teacher, rows, **objective):
    loss, moved, _ = found
    expected, exact = of_models(model, teacher, rows, **objective)
    assert loss == pytest.approx(expected, rel=1e-5)
    # What a weight moved is known to the rounding of the weight itself, so a little less exactly.
    assert_gradients(moved, exact, within=5e-5)


@pytest.mark.parametrize("packing", [False, True], ids=["apart", "packed"])
@pytest.mark.parametrize("passes", [1, 2, 4, 8])
def test_the_split_into_passes_changes_nothing(toy, unequal_rows, step, passes, packing):
    """A mean of the passes' means would differ, and so would a loss divided by the number of passes."""
    model, teacher = toy("qwen3", seed=1), toy("qwen3", seed=2)
    agrees(
        step(model, teacher, unequal_rows, passes=passes, packing=packing), model, teacher, unequal_rows, **REFERENCE
    )


@pytest.mark.parametrize("positions", [1, 7])
def test_nor_does_the_size_of_chunks(toy, unequal_rows, step, positions, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", {"cpu": 4 * 61 * positions})
    model, teacher = toy("neox", seed=1), toy("neox", seed=2)
    agrees(step(model, teacher, unequal_rows, passes=2), model, teacher, unequal_rows, **REFERENCE)


def test_nor_does_gradient_checkpointing(toy, unequal_rows, step):
    model, teacher = toy("neox", seed=1), toy("neox", seed=2)
    agrees(step(model, teacher, unequal_rows, gradient_checkpointing=True), model, teacher, unequal_rows, **REFERENCE)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_nor_do_empty_rows_that_fill_up_the_step(toy, unequal_rows, step, passes):
    """Five rows of a step of eight: with four passes the last holds nothing at all."""
    model, teacher = toy("neox", seed=1), toy("neox", seed=2)
    agrees(step(model, teacher, unequal_rows[:5], passes=passes), model, teacher, unequal_rows[:5], **REFERENCE)


def test_cross_entropy_needs_no_teacher(toy, unequal_rows, step):
    model = toy("neox", seed=1)
    agrees(
        step(model, None, unequal_rows, passes=2, objective=Objective(vocabulary=61)),
        model,
        None,
        unequal_rows,
        kind=None,
        vocabulary=61,
    )


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


def test_held_out_loss_is_cross_entropy_a_token(toy, unequal_rows, step):
    model, teacher = toy("neox", seed=1), toy("neox", seed=2)
    _, _, trainer = step(model, teacher, unequal_rows)
    held_out = unequal_rows[:3]
    expected, _ = of_models(trainer.model, None, held_out, kind=None, vocabulary=61)
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
        step(model, None, unequal_rows, objective=Objective(vocabulary=61))
