"""Mistakes that other distillation trainers made, or earlier ones of ours: each could be seen in what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_kdmem.distill.batches import Collator, predicted_mask
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from tests.distill.reference_loss import divergence, of_models


def first_loss(model) -> float:
    return read_run_card(Path(model.source)).loss_curve[0][1]


def by_hand(init, teacher, rows: np.ndarray, **objective) -> float:
    from transformers import AutoModelForCausalLM

    student, judge = (AutoModelForCausalLM.from_pretrained(m.source, dtype=torch.float32) for m in (init, teacher))
    return of_models(student, judge, rows.tolist(), vocabulary=300, **objective)[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_was_accepted_and_never_used(train, init, teacher, rows, temperature):
    """Nor its square: the loss of the first step is T² KL at T, and no other of these four."""
    ids = np.load(rows)[:, :24]
    found = first_loss(train(teacher=teacher, batch_size=16, temperature=temperature))
    expected = by_hand(init, teacher, ids, kind="forward", temperature=temperature)
    assert found == pytest.approx(expected, rel=1e-4)
    if temperature != 1.0:
        assert found != pytest.approx(expected / temperature**2, rel=0.05)
        assert found != pytest.approx(by_hand(init, teacher, ids, kind="forward", temperature=1.0), rel=0.01)


@pytest.mark.parametrize("kind", ["forward", "reverse", "jsd"])
def test_the_directions_were_exchanged(train, init, teacher, rows, kind):
    """Forward is KL(teacher ‖ student): the teacher's distribution is the one that weighs."""
    recipe = {"divergence": kind, "jsd_weight": 0.2, "temperature": 1.0}
    found = first_loss(train(teacher=teacher, batch_size=16, **recipe))
    assert found == pytest.approx(by_hand(init, teacher, np.load(rows), kind=kind, weight=0.2), rel=1e-4)


def test_the_reference_knows_its_directions():
    """p certain of one of two outcomes, q of neither: KL(p ‖ q) = log 2, KL(q ‖ p) is without bound."""
    p, q = torch.tensor([[1 - 1e-12, 1e-12]], dtype=torch.float64), torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    assert float(divergence(p, q, "forward", 0.5)) == pytest.approx(np.log(2), rel=1e-6)
    assert float(divergence(p, q, "reverse", 0.5)) > 10


def test_the_mean_of_means_favoured_short_examples(train, init, teacher, seven_rows):
    """Rows of 5 to 24 tokens: every token counts the same, whatever row or pass it is in."""
    import json

    from transformers import AutoModelForCausalLM

    from pytest_kdmem.distill.execution import Execution

    lines = [json.loads(line)["input_ids"] for line in seven_rows.read_text().splitlines()]
    student, judge = (AutoModelForCausalLM.from_pretrained(m.source, dtype=torch.float32) for m in (init, teacher))
    objective = {"kind": "forward", "temperature": 2.0, "vocabulary": 300}
    expected, _ = of_models(student, judge, lines, **objective)
    means = np.mean([of_models(student, judge, [line], **objective)[0] for line in lines])
    how = {"training_set": TrainingSet(str(seven_rows)), "execution": Execution(1)}
    found = first_loss(train(teacher=teacher, how=how))
    assert found == pytest.approx(expected, rel=1e-5)
    assert abs(found - means) > 1e-3 * found


def test_padding_and_the_end_of_text_were_taken_for_each_other(toy):
    """Id 0 is both what rows are padded with here and a token of the text: the first is not learned, the second is."""
    objective = Objective("forward", 2.0, vocabulary=61)
    model, judge = toy("neox", seed=1), toy("neox", seed=2)

    def loss(rows):
        batch = Collator()([{"input_ids": row} for row in rows])
        predicted = predicted_mask(batch["labels"])
        view = LiveTeacher(judge, 2.0).outputs(batch["input_ids"], None, predicted)
        with forward_returns_loss(model.eval(), objective):
            model.train()
            return model(**batch, teacher=view).item(), int(predicted.sum())

    alone, tokens = loss([[3, 4, 5]])
    assert tokens == 2
    beside, tokens = loss([[3, 4, 5], [6, 7, 8, 9, 10, 11, 12]])
    other, _ = loss([[6, 7, 8, 9, 10, 11, 12]])
    assert beside == pytest.approx(alone + other, rel=1e-5)
    assert tokens == 8
    ended, tokens = loss([[3, 4, 5, 0]])
    assert tokens == 3
    assert ended > alone


def test_the_teacher_dropped_out(toy, unequal_rows):
    """It stood in training mode, and said something else each time."""
    judge = toy("neox", seed=2, hidden_dropout=0.5, attention_dropout=0.5).train()
    live = LiveTeacher(judge, 2.0)
    batch = Collator()([{"input_ids": row} for row in unequal_rows])
    predicted = predicted_mask(batch["labels"])
    one, other = (live.outputs(batch["input_ids"], None, predicted).hidden for _ in range(2))
    assert torch.equal(one, other)


def test_the_student_was_left_in_evaluation_mode(train, make_model):
    """Models are loaded for evaluation, and dropout has to be switched on for training."""
    from pytest_kdmem.specs.declared import Model

    losses = {
        dropout: first_loss(
            train(
                f"out-{dropout}",
                mode="baseline",
                batch_size=16,
                how={"init": Model(str(make_model("pythia", seed=1, hidden_dropout=dropout)))},
            )
        )
        for dropout in (0.0, 0.3)
    }
    assert losses[0.0] != pytest.approx(losses[0.3], rel=1e-3)


def test_the_last_examples_of_an_epoch_were_dropped(train, seven_rows):
    """Seven rows in steps of four: two steps an epoch, and the tokens of all seven are in the losses of each."""
    how = {"training_set": TrainingSet(str(seven_rows))}
    card = read_run_card(Path(train(mode="baseline", batch_size=4, epochs=2, how=how).source))
    assert (card.steps, card.training_set.examples) == (4, 7)


def test_each_epoch_had_the_order_of_the_first(train, seven_rows):
    """With a rate of next to nothing the losses of an epoch's steps tell which rows were together."""
    how = {"training_set": TrainingSet(str(seven_rows))}
    card = read_run_card(Path(train(mode="baseline", batch_size=2, epochs=4, learning_rate=1e-12, how=how).source))
    losses = [round(loss, 5) for _, loss in card.loss_curve]
    epochs = {tuple(losses[at : at + 4]) for at in range(0, 16, 4)}
    assert len(epochs) == 4
