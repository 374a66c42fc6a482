"""A training that was stopped, by SIGTERM or by SIGKILL, ends with the same weights and losses as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.specs.weights import weights_digest


def card(model: Model):
    return read_run_card(Path(model.source))


def assert_same(model: Model, other_model: Model) -> None:
    """Both have the same weights, bit by bit, and the same losses."""
    assert weights_digest(Path(model.source)) == weights_digest(Path(other_model.source))
    assert card(model).loss_curve == card(other_model).loss_curve
    assert card(model).held_out == card(other_model).held_out
    assert card(model).steps == card(other_model).steps


SOFT = {"epochs": 3, "cross_entropy_weight": 0.25}
ONE_PASS, TWO_PASSES = Execution(), Execution(4)


@pytest.fixture(scope="module")
def soft_arguments(teacher, seven_rows):
    """A teacher, and text to evaluate."""
    return {"teacher": teacher, "held_out": TrainingSet(str(seven_rows))}


@pytest.fixture(scope="module")
def soft_uninterrupted(train_in, soft_arguments, tmp_path_factory):
    """Models trained for six steps without a stop, by the passes of a step."""
    return {
        execution: train_in(
            tmp_path_factory.mktemp("uninterrupted") / "out",
            arguments={**soft_arguments, "execution": execution},
            **SOFT,
        )
        for execution in (ONE_PASS, TWO_PASSES)
    }


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_training_stopped_by_sigterm_ends_as_if_it_had_not_been(
    train, stop, tmp_path, soft_arguments, soft_uninterrupted, step
):
    """Stopped in the middle of an epoch, or at the end of one (step 2), where held-out text is evaluated."""
    execution = TWO_PASSES if step == 3 else ONE_PASS
    arguments = {**soft_arguments, "execution": execution}
    stop("out", step, arguments=arguments, **SOFT)
    assert [path.name for path in tmp_path.iterdir()] == [".out.training"]
    assert latest_checkpoint(tmp_path / ".out.training").name == f"checkpoint-{step}"
    resumed = train(arguments=arguments, **SOFT)
    assert_same(resumed, soft_uninterrupted[execution])
    assert card(resumed).resumed_at == (step,)
    assert card(soft_uninterrupted[execution]).resumed_at == ()
    assert [at for at, _ in card(resumed).held_out] == [2, 4, 6]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_training_may_be_stopped_several_times(train, stop, uninterrupted, four_steps):
    for step in (1, 2, 3):
        stop("out", step, **four_steps)
    resumed = train(**four_steps)
    assert_same(resumed, uninterrupted)
    assert card(resumed).resumed_at == (1, 2, 3)


def test_dropout_continues_where_the_training_was_stopped(train, stop, make_model, uninterrupted, weights, four_steps):
    arguments = {"init": Model(str(make_model("pythia", seed=2, initializer_range=0.02, hidden_dropout=0.3)))}
    stop("stopped", 3, arguments=arguments, **four_steps)
    resumed, whole = (train(name, arguments=arguments, **four_steps) for name in ("stopped", "whole"))
    assert_same(resumed, whole)
    without_dropout = weights(uninterrupted)["embed_out.weight"]
    assert not torch.equal(without_dropout, weights(whole)["embed_out.weight"])


@pytest.mark.parametrize("recipe", [{"mode": "hard"}, {"teacher_top_k": 4, "packing": True}], ids=str)
def test_a_resumed_training_does_not_ask_the_teacher_again(train, stop, teacher, recipe):
    lines: list[str] = []
    stop("stopped", 1, arguments={"teacher": teacher}, **recipe)
    resumed = train("stopped", arguments={"teacher": teacher, "report": lines.append}, **recipe)
    assert [line for line in lines if line.startswith("teacher")] == []
    whole = train("whole", arguments={"teacher": teacher, "report": lines.append}, **recipe)
    assert [line for line in lines if line.startswith("learning")] == [f"learning from {teacher.name}"]
    assert_same(resumed, whole)


def test_a_training_may_be_resumed_with_another_number_of_passes(train, stop, uninterrupted, weights, four_steps):
    stop("out", 3, arguments={"execution": Execution(8)}, **four_steps)
    resumed = train(arguments={"execution": Execution(2)}, **four_steps)
    assert card(resumed).loss_curve == pytest.approx(np.array(card(uninterrupted).loss_curve), rel=1e-5)
    for name, weight in weights(uninterrupted).items():
        torch.testing.assert_close(weights(resumed)[name], weight, rtol=2**-7, atol=1e-4)


def test_a_stop_at_the_last_step_does_not_interrupt(train, sigterm_at):
    handler = signal.getsignal(signal.SIGTERM)
    model = train(mode="baseline", arguments={"progress": sigterm_at(2)})
    assert Path(model.source).is_dir()
    assert signal.getsignal(signal.SIGTERM) == handler


STEPS = 80
LONG_COMMAND = [
    *["--mode", "baseline", "--epochs", "20", "--batch-size", "4", "--precision", "float32"],
    *["--learning-rate", "1e-3", "--checkpoint-minutes", "0"],
    *["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"],
]
LONG_RECIPE = {"mode": "baseline", "epochs": 20, "batch_size": 4, "learning_rate": 1e-3}


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        checkpoint = latest_checkpoint(folder) if folder.is_dir() else None
        if checkpoint and int(checkpoint.name.split("-")[1]) >= step:
            return
        if process.poll() is not None:
            pytest.fail(f"ended before step {step}: {process.communicate()[1]}")
        time.sleep(0.01)
    process.kill()
    pytest.fail(f"no step {step} in two minutes")


def test_a_killed_command_ends_as_if_it_had_not_been_when_it_is_given_again(train, init, rows, tmp_path):
    files = ["--init", init.source, "--train", str(rows), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_kdmem", "distill", *files, *LONG_COMMAND],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_step(tmp_path / ".out.training", 5, process)
    process.kill()
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    step = int(latest_checkpoint(tmp_path / ".out.training").name.split("-")[1])
    assert 5 <= step < STEPS
    resumed = train(**LONG_RECIPE)
    assert_same(resumed, train("whole", **LONG_RECIPE))
    assert card(resumed).resumed_at == (step,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_memory_that_runs_out_is_an_error_with_the_way_out(train):
    class OutOfMemory(type(NO_PROGRESS)):
        def advance(self, examples):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    with pytest.raises(EngineError, match=r"Memory for passes of 4 examples was expected on cpu, .* set a smaller"):
        train(mode="baseline", arguments={"progress": OutOfMemory(), "execution": Execution(4)})
