"""What happens around steps: when checkpoints are written, and that order and dropout differ from step to step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card


class RecordingProgress(NoProgress):
    """Records what it is called with, and the names of the checkpoints in a folder at the end of each step."""

    def __init__(self, folder: Path | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.checkpoints: list[list[str]] = []
        self.notes: list[str] = []
        self._folder = folder

    def start(self, what: str, total: int | None) -> None:
        self.calls.append(("start", what, total))

    def advance(self, examples: int) -> None:
        self.calls.append(("advance", examples))
        if self._folder is not None:
            self.checkpoints.append(sorted(path.name for path in self._folder.glob("*checkpoint*")))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finish(self) -> None:
        self.calls.append(("finish",))


def card(model: Model):
    return read_run_card(Path(model.source))


def test_progress_advances_by_the_examples_of_each_step(train):
    progress = RecordingProgress()
    train(mode="baseline", arguments={"progress": progress})
    assert progress.calls == [("start", "train", 16), ("advance", 0), ("advance", 8), ("advance", 8), ("finish",)]


def test_progress_shows_loss_learning_rate_and_speed(train):
    progress = RecordingProgress()
    model = train(mode="baseline", arguments={"progress": progress})
    first, second = progress.notes
    assert re.fullmatch(r"\d+ tokens/s", first)  # the loss of a step is logged after it
    assert re.fullmatch(
        rf"loss {card(model).loss_curve[0][1]:.4f}, learning rate [0-9.]+e[-+]\d+, \d+ tokens/s", second
    )


def test_a_resumed_training_begins_its_progress_at_the_checkpoint(train, interrupted, four_steps):
    progress = RecordingProgress()
    train(arguments={"progress": progress}, **four_steps)
    assert progress.calls == [("start", "train", 32), ("advance", 16), ("advance", 8), ("advance", 8), ("finish",)]


def test_each_epoch_is_reported_with_its_losses(train, seven_rows, four_steps):
    lines: list[str] = []
    model = train(arguments={"report": lines.append, "held_out": TrainingSet(str(seven_rows))}, **four_steps)
    losses, held_out = dict(card(model).loss_curve), dict(card(model).held_out)
    assert set(losses) == {1, 2, 3, 4}
    assert lines == ["training without a teacher: 16 examples, 2 epochs"] + [
        f"epoch {epoch} of 2: mean loss {(losses[step - 1] + losses[step]) / 2:.4f},"
        f" held-out loss {held_out[step]:.4f} nats per token"
        for epoch, step in ((1, 2), (2, 4))
    ]


def test_with_no_minutes_between_them_every_step_writes_a_checkpoint_and_only_the_newest_is_kept(
    train, tmp_path, four_steps
):
    progress = RecordingProgress(tmp_path / ".out.training")
    train(arguments={"execution": Execution(checkpoint_minutes=0), "progress": progress}, **four_steps)
    # The first call precedes the first step.
    assert progress.checkpoints == [[], [], ["checkpoint-1"], ["checkpoint-2"], ["checkpoint-3"]]


def test_checkpoints_are_written_only_when_they_are_due(train, tmp_path, four_steps):
    progress = RecordingProgress(tmp_path / ".out.training")
    train(arguments={"execution": Execution(checkpoint_minutes=10), "progress": progress}, **four_steps)
    assert progress.checkpoints == [[]] * 5


def test_dropout_differs_from_step_to_step(train, make_model):
    """The learning rate is so small that the weights stay, so the loss of the same rows differs by dropout alone."""
    model = train(
        mode="baseline",
        epochs=3,
        batch_size=16,
        learning_rate=1e-12,
        arguments={"init": Model(str(make_model("pythia", seed=1, hidden_dropout=0.3)))},
    )
    assert len({round(loss, 4) for _, loss in card(model).loss_curve}) == 3


def test_dropout_is_on_while_training(train, teacher, make_model):
    """Models are loaded in evaluation mode, so dropout has to be switched on. Both models have the same weights."""
    with_dropout = Model(str(make_model("pythia", seed=1, hidden_dropout=0.3)))
    losses = [
        card(train(name, mode="baseline", batch_size=16, arguments={"init": model})).loss_curve[0][1]
        for name, model in (("without", teacher), ("with", with_dropout))
    ]
    assert losses[0] != pytest.approx(losses[1], rel=1e-5)


def test_each_epoch_has_an_order_of_its_own(train, seven_rows):
    """The learning rate is so small that the weights stay, so the losses of an epoch tell which rows share a step."""
    recipe = {"mode": "baseline", "batch_size": 2, "epochs": 4, "learning_rate": 1e-12}
    model = train(arguments={"training_set": TrainingSet(str(seven_rows))}, **recipe)
    losses = [round(loss, 5) for _, loss in card(model).loss_curve]
    assert len({tuple(losses[step : step + 4]) for step in range(0, 16, 4)}) == 4


def test_the_last_held_out_loss_is_that_of_the_written_model(train, seven_rows):
    held_out = {"held_out": TrainingSet(str(seven_rows))}
    model = train(mode="baseline", learning_rate=1e-3, arguments=held_out)
    written = AutoModelForCausalLM.from_pretrained(model.source, dtype=torch.float32)
    total, tokens = 0.0, 0
    for line in seven_rows.read_text().splitlines():
        ids = torch.tensor([json.loads(line)["input_ids"]])
        with torch.no_grad():
            logits = written(input_ids=ids).logits[0, :-1].double()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        tokens += ids.shape[1] - 1
    assert card(model).last_held_out == pytest.approx(total / tokens, rel=1e-3)
