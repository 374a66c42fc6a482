"""`kdmem distill` measures what its model recites, logs it to trackers, and trains the same model as without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from pytest_kdmem.cli import main
from pytest_kdmem.specs import trackers
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.run_card import read_run_card
from tests.tracking.read_back import from_tensorboard
from tests.tracking.trainings import recited

NAME = "train/kdmem/student/memorization_rate"


def distill(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["distill", *arguments])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def command(make_model, tmp_path_factory):
    """Arguments of a distillation of two epochs of two steps from a teacher of random weights."""
    folder = tmp_path_factory.mktemp("rows")
    np.save(folder / "rows.npy", np.random.default_rng(0).integers(1, 256, (16, 24)))
    models = {
        name: str(make_model("pythia", seed=seed, hidden_dropout=0.1)) for name, seed in (("init", 2), ("teacher", 1))
    }
    lengths = ["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
    recipe = ["--epochs", "2", "--batch-size", "8", "--learning-rate", "1e-2", "--precision", "float32"]
    names = ["--init", models["init"], "--teacher", models["teacher"], "--train", str(folder / "rows.npy")]
    return [*names, *lengths, *recipe], folder / "rows.npy"


def test_a_measured_distillation_gives_the_same_model_and_its_curve(command, tmp_path, monkeypatch, capsys):
    arguments, rows = command
    torch.set_num_threads(1)
    monkeypatch.setenv("KDMEM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "runs"))
    measured = ["--memorization-every", "1", "--report-to", "tensorboard", "--out", str(tmp_path / "measured")]
    assert distill(*arguments, *measured) == 0
    assert distill(*arguments, "--out", str(tmp_path / "plain")) == 0
    weights, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("measured", "plain"))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)
    card, plain = (read_run_card(tmp_path / name) for name in ("measured", "plain"))
    assert [step for step, _ in card.memorization_curve] == [0, 1, 2, 3, 4]
    assert plain.memorization_curve == ()
    assert from_tensorboard(tmp_path / "runs")[NAME] == [
        (step, pytest.approx(rate)) for step, rate in card.memorization_curve
    ]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "measured", dtype=torch.float32)
    assert card.memorization_curve[-1][1] == recited(model, np.load(rows), Extraction(8, 8, 24)) / 16
    assert "soft distillation: the model is in" in capsys.readouterr().out


def test_a_tracker_that_is_not_installed_is_named_before_anything_is_loaded(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(trackers.TRACKERS, "wandb", ("no_such_module", "wandb"))
    assert distill(*command[0], "--report-to", "wandb", "--out", str(tmp_path / "out")) != 0
    assert "pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
