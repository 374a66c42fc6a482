"""Two processes train what one trains: started by `torchrun`, side by side (DDP) or with sharded weights (FSDP2)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.errors import TrainingInterrupted
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard, read_run_card

FAMILIES = ("pythia", "qwen3")
RECIPE = Recipe(
    epochs=3, batch_size=4, learning_rate=3e-3, precision="float32", cross_entropy_weight=0.25, packing=True
)


class Setting:
    """Models and data: seven rows of unequal length, so that the last step of four holds an empty one."""

    def __init__(self, folder: Path, init: Model, teacher: Model, rows: Path) -> None:
        self.folder, self.init, self.teacher, self.rows = folder, init, teacher, rows

    def arguments(self, out: str) -> list[str]:
        recipe = ["--epochs", "3", "--batch-size", "4", "--learning-rate", "3e-3", "--precision", "float32"]
        recipe += ["--cross-entropy-weight", "0.25", "--packing", "--checkpoint-minutes", "0"]
        lengths = ["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
        data = ["--train", str(self.rows), "--held-out", str(self.rows)]
        models = ["--init", self.init.source, "--teacher", self.teacher.source, "--out", str(self.folder / out)]
        return ["distill", *models, *data, *recipe, *lengths]

    def alone(self, out: str, **how) -> Model:
        data = TrainingSet(str(self.rows))
        return distill(
            RECIPE,
            init=self.init,
            teacher=self.teacher,
            training_set=data,
            held_out=data,
            out=self.folder / out,
            extraction=Extraction(8, 8, 24),
            **how,
        )

    def together(self, *command: str, sharded: bool = False) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "KDMEM_CACHE_DIR": str(self.folder / "cache")}
        environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if sharded else {}
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.run([*launch, *command], env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def settings(tmp_path_factory, make_model, seven_rows) -> dict[str, Setting]:
    """By family: a head of its own, and one tied to the embedding."""

    def model(family: str, seed: int, size: float) -> Model:
        return Model(str(make_model(family, seed=seed, initializer_range=size)))

    return {
        family: Setting(tmp_path_factory.mktemp(family), model(family, 2, 0.02), model(family, 1, 0.1), seven_rows)
        for family in FAMILIES
    }


@pytest.fixture(scope="module")
def whole(settings) -> dict[str, Path]:
    """What one process trains without a stop."""
    return {family: Path(setting.alone("one").source) for family, setting in settings.items()}


class Stopper:
    """A progress that sends SIGTERM in the middle of the second epoch."""

    def __init__(self) -> None:
        self._done = 0

    def start(self, what: str, total: int | None) -> None: ...
    def finish(self) -> None: ...

    def advance(self, examples: int) -> None:
        self._done += examples
        if self._done == 3 * RECIPE.batch_size:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture(scope="module", params=[False, True], ids=["side by side", "sharded"])
def launched(request, settings, whole):
    """In one launch, for each family: what one process left is taken up by two, and SIGTERM stops one of these two."""
    name = "sharded" if request.param else "ddp"
    commands = []
    for setting in settings.values():
        with pytest.raises(TrainingInterrupted):
            setting.alone(f"{name}-again", progress=Stopper())
        commands.append({"stop_at": None, "arguments": setting.arguments(f"{name}-again")})
        commands.append({"stop_at": 3, "arguments": setting.arguments(f"{name}-stopped")})
    plan = settings["pythia"].folder / f"{name}.json"
    plan.write_text(json.dumps(commands))
    done = settings["pythia"].together(
        str(Path(__file__).with_name("fsdp_on_cpu.py")), str(plan), sharded=request.param
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        assert json.loads(plan.with_suffix(f".{rank}").read_text()) == [0, 143, 0, 143]
    assert done.stderr.count("Training stopped at step 3 of 6, as SIGTERM asked") == 4
    return name


def agree(folder: Path, reference: Path) -> tuple[RunCard, RunCard]:
    found, expected = load_file(folder / "model.safetensors"), load_file(reference / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        # Written in bfloat16, so a difference of rounding may be one of its last place.
        torch.testing.assert_close(found[name].float(), weight.float(), rtol=2**-7, atol=1e-4)
    # Nearly all are the same bits, but for the biases of keys: their gradient is 0, and AdamW moves them by rounding.
    same = sum(int((found[name] == weight).sum()) for name, weight in expected.items())
    assert same > 0.98 * sum(weight.numel() for weight in expected.values())
    card, other = read_run_card(folder), read_run_card(reference)
    np.testing.assert_allclose(card.loss_curve, other.loss_curve, rtol=1e-4)
    np.testing.assert_allclose(card.held_out, other.held_out, rtol=1e-4)
    assert [step for step, _ in card.held_out] == [2, 4, 6]
    return card, other


def test_the_command_under_torchrun_trains_what_one_process_trains(settings, whole):
    setting = settings["pythia"]
    done = setting.together("-m", "pytest_kdmem", *setting.arguments("two"))
    assert done.returncode == 0, done.stdout + done.stderr
    card, alone = agree(setting.folder / "two", whole["pythia"])
    assert (card.processes, alone.processes) == (2, 1)
    assert card.training_set == alone.training_set
    assert (card.training_set.examples, card.training_set.tokens) == (7, 111)
    assert not (setting.folder / ".two.training").exists()
    # The first speaks for both.
    assert done.stdout.count("epoch 3 of 3") == done.stdout.count("soft model in") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_take_up_what_one_left(launched, settings, whole, family):
    card, _ = agree(settings[family].folder / f"{launched}-again", whole[family])
    assert (card.processes, card.resumed_at) == (2, (3,))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_process_takes_up_what_two_left(launched, settings, whole, family):
    """SIGTERM came to the second alone: both stopped at the same step, and what they wrote needs neither of them."""
    setting = settings[family]
    assert latest_checkpoint(setting.folder / f".{launched}-stopped.training").name == "checkpoint-3"
    card, _ = agree(Path(setting.alone(f"{launched}-stopped").source), whole[family])
    assert (card.processes, card.resumed_at) == (1, (3,))
