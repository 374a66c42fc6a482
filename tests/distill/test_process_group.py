"""Two processes train what one trains: started by `torchrun`, with whole weights (DDP) or sharded weights (FSDP2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.process_group import join_process_group, require_one_machine, require_single_process
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.errors import SpecError, TrainingInterrupted
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard, read_run_card

# A head of its own, and a head tied to the embedding.
FAMILIES = ("pythia", "qwen3")
RECIPE = Recipe(
    epochs=3, batch_size=4, learning_rate=3e-3, precision="float32", cross_entropy_weight=0.25, packing=True
)
ADAPTER = replace(RECIPE, lora_rank=4)


def test_a_process_without_a_launcher_is_the_first_of_one():
    processes = join_process_group()
    assert (processes.index, processes.count, processes.is_first) == (0, 1, True)
    calls = []
    processes.run_on_first(lambda: calls.append("called"))
    processes.wait()
    assert calls == ["called"]
    assert (processes.any(True), processes.any(False), processes.of_first("a folder")) == (True, False, "a folder")


def test_one_machine_may_be_required(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    require_one_machine("a dry run")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    require_one_machine("a dry run")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="expected in a dry run, and 4 were started, 2 of them here"):
        require_one_machine("a dry run")


def test_a_single_process_may_be_required(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_single_process("a study")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="One process was expected to train models of a study, and WORLD_SIZE is 2"):
        require_single_process("a study")


@dataclass(frozen=True)
class Setting:
    """Models and data of one family: seven rows of unequal lengths, so that the last step of four has an empty row."""

    folder: Path
    init: Model
    teacher: Model
    rows: Path

    def command(self, name: str) -> list[str]:
        """Arguments of the command that trains into a folder of this name."""
        recipe = ["--epochs", "3", "--batch-size", "4", "--learning-rate", "3e-3", "--precision", "float32"]
        recipe += ["--cross-entropy-weight", "0.25", "--packing", "--checkpoint-minutes", "0"]
        lengths = ["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
        data = ["--train", str(self.rows), "--held-out", str(self.rows)]
        models = ["--init", self.init.source, "--teacher", self.teacher.source, "--out", str(self.folder / name)]
        return ["distill", *models, *data, *recipe, *lengths]

    def train_alone(self, name: str, recipe: Recipe = RECIPE, **arguments) -> Model:
        """Train in this process."""
        data = TrainingSet(str(self.rows))
        return distill(
            recipe,
            init=self.init,
            teacher=self.teacher,
            training_set=data,
            held_out=data,
            out=self.folder / name,
            extraction=Extraction(8, 8, 24),
            **arguments,
        )


@pytest.fixture(scope="module")
def settings(tmp_path_factory, make_model, seven_rows) -> dict[str, Setting]:
    def model(family: str, seed: int, size: float) -> Model:
        return Model(str(make_model(family, seed=seed, initializer_range=size)))

    return {
        family: Setting(tmp_path_factory.mktemp(family), model(family, 2, 0.02), model(family, 1, 0.1), seven_rows)
        for family in FAMILIES
    }


@pytest.fixture(scope="module")
def trained_alone(settings) -> dict[str, Path]:
    """What one process trains without a stop."""
    return {family: Path(setting.train_alone("alone").source) for family, setting in settings.items()}


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "sharded"])
def launched(request, settings, sigterm_at):
    """Names in one launch of two processes.

    For each family, two processes resume what one process left ("resumed"), and SIGTERM stops one of them ("stopped").
    For the first family they also train from the beginning ("new"). For the second, SIGTERM stops the training of an
    adapter ("adapter").
    """
    name = "sharded" if request.param else "whole"
    plan = [{"stop_at": None, "arguments": settings["pythia"].command(f"{name}-new")}]
    for setting in settings.values():
        with pytest.raises(TrainingInterrupted):
            setting.train_alone(f"{name}-resumed", progress=sigterm_at(3, RECIPE.batch_size))
        plan.append({"stop_at": None, "arguments": setting.command(f"{name}-resumed")})
        plan.append({"stop_at": 3, "arguments": setting.command(f"{name}-stopped")})
    adapter = [*settings["qwen3"].command(f"{name}-adapter"), "--lora-rank", str(ADAPTER.lora_rank)]
    plan.append({"stop_at": 3, "arguments": adapter})
    folder = settings["pythia"].folder
    plan_file = folder / f"{name}.json"
    plan_file.write_text(json.dumps(plan))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "KDMEM_CACHE_DIR": str(folder / "cache")}
    environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if request.param else {}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = str(Path(__file__).with_name("fsdp_on_cpu.py"))
    process = subprocess.run(
        [*launcher, script, str(plan_file)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stdout + process.stderr
    for rank in (0, 1):
        assert json.loads(plan_file.with_suffix(f".{rank}").read_text()) == [0, 0, 143, 0, 143, 143]
    assert process.stderr.count("Training stopped at step 3 of 6, as SIGTERM asked") == 6
    # Of the three trainings that end, the first process reports for both.
    assert process.stdout.count("epoch 3 of 3") == process.stdout.count("soft distillation: the model is in") == 3
    return name


def assert_agrees(folder: Path, reference: Path) -> tuple[RunCard, RunCard]:
    weights, expected = load_file(folder / "model.safetensors"), load_file(reference / "model.safetensors")
    assert weights.keys() == expected.keys()
    for name, weight in expected.items():
        # Written in bfloat16, so a difference of rounding may be one of its last place.
        torch.testing.assert_close(weights[name].float(), weight.float(), rtol=2**-7, atol=1e-4)
    # Nearly all are the same bits, but for the biases of keys: their gradient is 0, and AdamW moves them by rounding.
    same = sum(int((weights[name] == weight).sum()) for name, weight in expected.items())
    assert same > 0.98 * sum(weight.numel() for weight in expected.values())
    card, expected_card = read_run_card(folder), read_run_card(reference)
    np.testing.assert_allclose(card.loss_curve, expected_card.loss_curve, rtol=1e-4)
    np.testing.assert_allclose(card.held_out, expected_card.held_out, rtol=1e-4)
    assert [step for step, _ in card.held_out] == [2, 4, 6]
    return card, expected_card


@pytest.mark.slow
def test_two_processes_train_what_one_process_trains(launched, settings, trained_alone):
    folder = settings["pythia"].folder
    card, card_alone = assert_agrees(folder / f"{launched}-new", trained_alone["pythia"])
    assert (card.processes, card_alone.processes) == (2, 1)
    assert card.training_set == card_alone.training_set
    assert (card.training_set.examples, card.training_set.tokens) == (7, 111)
    assert not (folder / f".{launched}-new.training").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_resume_what_one_left(launched, settings, trained_alone, family):
    card, _ = assert_agrees(settings[family].folder / f"{launched}-resumed", trained_alone[family])
    assert (card.processes, card.resumed_at) == (2, (3,))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_one_process_resumes_what_two_left(launched, settings, trained_alone, family):
    """Both stopped at the same step, although only the second received SIGTERM."""
    setting = settings[family]
    assert latest_checkpoint(setting.folder / f".{launched}-stopped.training").name == "checkpoint-3"
    card, _ = assert_agrees(Path(setting.train_alone(f"{launched}-stopped").source), trained_alone[family])
    assert (card.processes, card.resumed_at) == (1, (3,))


@pytest.mark.slow
def test_one_process_resumes_an_adapter_that_two_left(launched, settings):
    setting = settings["qwen3"]
    resumed, alone = (
        load_file(Path(setting.train_alone(f"{launched}-{name}", ADAPTER).source) / "adapter_model.safetensors")
        for name in ("adapter", "adapter-alone")
    )
    assert resumed.keys() == alone.keys()
    for name, weight in alone.items():
        torch.testing.assert_close(resumed[name], weight, rtol=1e-3, atol=1e-4)
