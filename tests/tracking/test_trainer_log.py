"""Figures reach the trackers of a trainer, and nothing of the trainer's own is lost by it."""

from __future__ import annotations

import numpy as np
import pytest
import trackio
from transformers import Trainer, TrainerCallback

from pytest_kdmem import MemorizationCallback, SpecError
from pytest_kdmem.tracking.trainer_log import trainer_of as trainer_that_calls
from tests.tracking.read_back import from_mlflow, from_tensorboard, from_trackio
from tests.tracking.trainings import LENGTHS, random_ids, trainer_of, write_set

RATE = "kdmem/student/memorization_rate"


def test_trackers_of_the_trainer_hold_the_figures(tmp_path, monkeypatch):
    """TensorBoard's event file, MLflow's file store and trackio's database, with the prefix that the trainer gives."""
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tensorboard"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlflow'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for module in (trackio, trackio.utils, trackio.sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    ids = random_ids()
    # Half of what is measured is not trained on, so that the gate holds whatever is recited of the rest.
    training_set = write_set(tmp_path, np.concatenate([ids, random_ids(seed=9)]))
    callback = MemorizationCallback(training_set, every=10, extraction=LENGTHS, gates={"max_memorization_rate": 0.99})
    trainer = trainer_of(
        tmp_path / "out",
        ids,
        callback,
        max_steps=30,
        report_to=["tensorboard", "mlflow", "trackio"],
        project="releases",
    )
    trainer.train()
    expected = [(step, pytest.approx(rate.value)) for step, rate in callback.rates.items()]
    assert [step for step, _ in expected] == [0, 10, 20, 30]
    assert callback.rates[30].value > 0
    assert from_tensorboard(tmp_path / "tensorboard")[f"train/{RATE}"] == expected
    [(figures, _)] = from_mlflow(f"file:{tmp_path / 'mlflow'}")
    assert figures[RATE] == expected
    assert figures["kdmem/gates_failed"] == [(step, 0.0) for step, _ in expected]
    lines = [(line["train/global_step"], line) for _, line in from_trackio(tmp_path / "trackio")]
    assert [(step, line[f"train/{RATE}"]) for step, line in lines if f"train/{RATE}" in line] == expected
    assert [step for step, line in lines if "train/loss" in line] == [10, 20, 30]


def test_a_trainer_that_changes_its_own_lines_keeps_them(tmp_path):
    """As TRL's do: what it gathers for its next line is not spent on the callback's."""

    class Gathering(Trainer):
        gathered = 0

        def training_step(self, *arguments, **settings):
            self.gathered += 1
            return super().training_step(*arguments, **settings)

        def log(self, logs, *arguments):
            super().log({**logs, "gathered": self.gathered}, *arguments)
            self.gathered = 0

    ids = random_ids()
    callback = MemorizationCallback(write_set(tmp_path, ids), every=5, extraction=LENGTHS)
    plain = trainer_of(tmp_path / "out", ids, max_steps=10)
    trainer = Gathering(plain.model, plain.args, train_dataset=plain.train_dataset, callbacks=[callback])
    trainer.train()
    assert [entry["gathered"] for entry in trainer.state.log_history if "loss" in entry] == [10]
    assert sum(RATE in entry for entry in trainer.state.log_history) == 3


def test_only_a_trainer_can_call_it():
    callback = TrainerCallback()
    with pytest.raises(SpecError, match="A Trainer of transformers was expected to call TrainerCallback"):
        trainer_that_calls(callback)
