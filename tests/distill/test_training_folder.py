"""The folder of an unfinished training belongs to one job, and goes when the model is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.distill.training_folder import TrainingFolder
from pytest_kdmem.errors import DataError, SpecError, TrainingInterrupted
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
RECORD = Path(__file__).parents[1] / "records" / "unfinished_training"
LEARNING_RATE = 1e-2


def test_a_folder_counts_seconds_and_resumptions_over_several_runs(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "trainer_state.json").write_text('{"global_step": 3}')
    for _ in range(2):
        with TrainingFolder.open(tmp_path / "out", "digest", ALONE) as folder:
            folder.start_clock()
            assert folder.record_resumption(tmp_path / "checkpoint") == 3
            folder.add_elapsed_seconds()
            seconds = folder.seconds
    assert folder.resumed_at == (3, 3)
    assert json.loads((folder.path / "training.json").read_text()) == {
        "run": "digest",
        "resumed_at": [3, 3],
        "seconds": seconds,
    }
    assert seconds > 0
    folder.remove()
    assert not folder.path.exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SpecError, match=r"A folder that can be written was expected for .*; choose another --out"),
        TrainingFolder.open(tmp_path / "file" / "out", "digest", ALONE),
    ):
        pass


@pytest.fixture
def other_arguments(teacher, seven_rows):
    """Arguments that make another job of the interrupted one."""
    return {
        "init": teacher,
        "training_set": TrainingSet(str(seven_rows)),
        "held_out": TrainingSet(str(seven_rows)),
        "extraction": Extraction(8, 8, 20),
    }


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"learning_rate": 1e-3}, r"learning_rate was 0\.01, and is 0\.001 now"),
        ({"seed": 1}, "seed was 0, and is 1 now"),
        ({"epochs": 4}, "epochs was 2, and is 4 now"),
        ({"init": 1}, r"init was \S+ \(\w+\), and is \S+ \(\w+\) now"),
        ({"training_set": 1}, r"training set was \S+ \(\w+\), and is \S+seven\S* \(\w+\) now"),
        ({"held_out": 1}, r"held-out set was None, and is \S+ \(\w+\) now; held-out set, template was None.*"),
        ({"extraction": 1}, "(.*; )?window_tokens was [0-9]+, and is 20 now"),
    ],
    ids=lambda changed: next(iter(changed)) if isinstance(changed, dict) else "",
)
def test_an_unfinished_training_of_another_job_is_not_resumed(
    train, interrupted, tmp_path, other_arguments, four_steps, changed, told
):
    arguments = {name: other_arguments[name] for name in changed if name in other_arguments}
    recipe = four_steps | {name: value for name, value in changed.items() if name not in other_arguments}
    with pytest.raises(
        SpecError,
        match=rf"expected in .*\.out\.training, which holds an unfinished training of others: {told}; set the same",
    ):
        train(arguments=arguments, **recipe)
    assert not (tmp_path / "out").exists()
    assert (interrupted / "checkpoint-2").is_dir()


def test_of_a_training_of_an_earlier_version_nothing_is_told(tmp_path):
    shutil.copytree(RECORD / "unfinished", tmp_path / ".out.training")
    with (
        pytest.raises(SpecError, match="holds an unfinished training of others; set the same to go on"),
        TrainingFolder.open(tmp_path / "out", "other", ALONE, settings={"epochs": "3"}),
    ):
        pass


def test_a_training_without_a_checkpoint_makes_room_for_another_job(train, tmp_path):
    """After an error in the data, the corrected data can be trained on into the same folder."""
    arguments = {"training_set": TrainingSet(str(tmp_path / "data.npy"))}
    np.save(tmp_path / "data.npy", np.full((4, 24), 999))
    with pytest.raises(DataError):
        train(mode="baseline", arguments=arguments)
    np.save(tmp_path / "data.npy", np.full((4, 24), 99))
    assert Path(train(mode="baseline", arguments=arguments).source).is_dir()


def test_a_folder_that_holds_files_is_not_overwritten(train, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for name in (".", "notes.txt"):
        with pytest.raises(SpecError, match="empty or new folder"):
            train(name, mode="baseline")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(
    "decoupled_weight_decay" not in torch.optim.AdamW([torch.zeros(1)]).defaults,
    reason="the optimizer's state was written by a newer version of torch",
)
def test_a_training_stopped_by_an_earlier_version_is_resumed(tmp_path):
    """The folder holds a training that was stopped at step 2 of 4; see README.md beside it.

    Teacher and student are the same, so gradients are noise, which differs from one processor to the next. What is
    compared does not depend on them: the weights that the last two steps start from, and the losses before them.
    """
    shutil.copytree(RECORD, tmp_path, dirs_exist_ok=True)
    unfinished = tmp_path / ".out.training"
    (tmp_path / "unfinished").rename(unfinished)
    tensors = load_file(unfinished / "checkpoint-2" / "state.safetensors")
    # A shift that no training from the beginning would end with.
    tensors["weights/gpt_neox.final_layer_norm.bias"] += 1
    save_file(tensors, unfinished / "checkpoint-2" / "state.safetensors")
    history = json.loads((unfinished / "checkpoint-2" / "trainer_state.json").read_text())["log_history"]
    distill(
        Recipe(epochs=2, batch_size=4, learning_rate=LEARNING_RATE, precision="float32", teacher_top_k=4),
        init=Model(str(tmp_path / "init")),
        teacher=Model(str(tmp_path / "init")),
        training_set=TrainingSet(str(tmp_path / "rows.npy")),
        out=tmp_path / "out",
        extraction=Extraction(4, 4, 8),
    )
    run_card = read_run_card(tmp_path / "out")
    assert (run_card.steps, run_card.resumed_at) == (4, (2,))
    assert run_card.loss_curve[:2] == tuple((entry["step"], entry["loss"]) for entry in history if "loss" in entry)
    for name, weight in load_file(tmp_path / "out" / "model.safetensors").items():
        stored = tensors[f"weights/{name.replace('embed_out', 'lm_head')}"]
        # The learning rate falls, and Adam moves no weight by more than about it in a step; bfloat16 rounds.
        torch.testing.assert_close(weight.float(), stored.float(), rtol=2**-7, atol=2 * LEARNING_RATE)


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_a_training_that_is_refused_leaves_its_folder_only_with_a_checkpoint(tmp_path, has_checkpoint):
    with (  # noqa: PT012
        pytest.raises(DataError, match="no rows"),
        TrainingFolder.open(tmp_path / "out", "digest", ALONE) as folder,
    ):
        (folder.path / "examples").mkdir()
        if has_checkpoint:
            shutil.copytree(RECORD / "unfinished" / "checkpoint-2", folder.path / "checkpoint-2")
        raise DataError("no rows")
    assert folder.path.exists() == has_checkpoint
    assert list(tmp_path.iterdir()) == ([folder.path] if has_checkpoint else [])


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), TrainingInterrupted("stopped", 15)], ids=["at once", "saved"])
def test_a_training_that_is_stopped_keeps_the_rows_that_it_made(tmp_path, stop):
    with pytest.raises(type(stop)), TrainingFolder.open(tmp_path / "out", "digest", ALONE) as folder:
        raise stop
    assert folder.path.is_dir()


def test_an_output_folder_that_was_filled_meanwhile_leaves_no_other(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_text("of another run")
    with pytest.raises(SpecError, match="An empty or new folder"), TrainingFolder.open(tmp_path / "out", "d", ALONE):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
