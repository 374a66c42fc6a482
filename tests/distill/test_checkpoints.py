"""A checkpoint restores weights and optimizer bit by bit, holds nothing else, and is complete or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pytest_kdmem.distill import training_arguments
from pytest_kdmem.distill.checkpoints import checkpoint_step, latest_checkpoint, read_checkpoint, write_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.errors import DataError, EngineError


def trained(toy, kind: str, seed: int):
    """A model after two steps, and its optimizer."""
    model = toy(kind, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        take_step(model, optimizer)
    return model, optimizer


def take_step(model, optimizer):
    model(input_ids=torch.tensor([[1, 2, 3, 4]])).logits.square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["neox", "qwen3"])
def test_weights_and_moments_are_restored_bit_by_bit(toy, tmp_path, kind):
    (written, optimizer), (restored, restored_optimizer) = trained(toy, kind, 0), trained(toy, kind, 1)
    progress = {"step": 7, "scheduler": {"last_epoch": 7}}
    write_checkpoint(tmp_path, written, optimizer, progress, "{}")
    assert read_checkpoint(tmp_path / "checkpoint-7", restored, restored_optimizer) == progress
    for name, weight in written.state_dict().items():
        assert torch.equal(restored.state_dict()[name], weight)
    for moments, restored_moments in zip(optimizer.state.values(), restored_optimizer.state.values(), strict=True):
        assert moments.keys() == restored_moments.keys()
        assert all(torch.equal(moments[name], restored_moments[name]) for name in moments)
    # So the next step is the same, too.
    take_step(written, optimizer)
    take_step(restored, restored_optimizer)
    for name, weight in written.state_dict().items():
        assert torch.equal(restored.state_dict()[name], weight)


def test_a_checkpoint_of_another_model_is_refused(toy, tmp_path):
    model, larger_model = toy("neox"), toy("neox", hidden_size=32)
    write_checkpoint(tmp_path, model, torch.optim.AdamW(model.parameters()), {"step": 3}, "{}")
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(tmp_path / "checkpoint-3", larger_model, torch.optim.AdamW(larger_model.parameters()))


def test_a_new_checkpoint_replaces_older_ones_and_what_a_killed_process_left(toy, tmp_path):
    model = toy("neox")
    (tmp_path / ".checkpoint-8.abc.partial").mkdir()
    for step in (9, 10):
        write_checkpoint(tmp_path, model, torch.optim.AdamW(model.parameters()), {"step": step}, "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]


def test_the_latest_checkpoint_is_the_complete_one_of_the_highest_step(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for name in ("checkpoint-9", "checkpoint-10", ".checkpoint-11.abc.partial", "checkpoint-best"):
        (tmp_path / name).mkdir()
    assert latest_checkpoint(tmp_path).name == "checkpoint-10"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "trainer_state.json"])
@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["truncated", "missing"])
def test_training_from_a_damaged_checkpoint_is_refused_in_a_sentence(
    train, interrupted, tmp_path, four_steps, name, damage
):
    damage(interrupted / "checkpoint-2" / name)
    with pytest.raises(
        DataError, match=r"was expected in .*checkpoint-2, which cannot be read \(.*\); delete the folder"
    ) as refusal:
        train(**four_steps)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_the_step_is_read_from_the_trainers_state(interrupted):
    assert checkpoint_step(interrupted / "checkpoint-2") == 2


def test_nothing_is_pickled_and_no_teacher_is_written(train, stop, teacher, tmp_path):
    stop("out", 1, arguments={"teacher": teacher}, teacher_top_k=4)
    stop("live", 1, arguments={"teacher": teacher})
    folder = tmp_path / ".out.training"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json", ".arrow", ""}
    assert {path.name for path in files if not path.suffix} <= {"lock", "shards"}
    train(arguments={"teacher": teacher}, teacher_top_k=4)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".safetensors", ".json", ".jinja", ".txt"}
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not path.read_bytes().startswith((b"PK\x03\x04", b"\x80")), f"{path} is a zip or a pickle"
            if path.suffix == ".json":
                json.loads(path.read_text())
    [state] = (tmp_path / ".live.training").rglob("state.safetensors")
    with safe_open(state, "pt") as file, safe_open(tmp_path / "out" / "model.safetensors", "pt") as model:
        names, weight_count = set(file.keys()), len(set(model.keys()))
        weight_names = {name for name in names if name.startswith("weights/")}
        moments = {name.rsplit("/", 1)[1] for name in names if name.startswith("optimizer/")}
        assert moments == {"step", "exp_avg", "exp_avg_sq"}
        assert (len(weight_names), len(names)) == (weight_count, 4 * weight_count)
        student_bytes = {file.get_tensor(name).numpy().tobytes() for name in weight_names}
    with safe_open(Path(teacher.source) / "model.safetensors", "pt") as file:
        teacher_bytes = {
            file.get_tensor(name).numpy().tobytes() for name in set(file.keys()) if file.get_tensor(name).std() > 0
        }
    assert not student_bytes & teacher_bytes


def test_weights_that_are_not_finite_replace_no_checkpoint(train, monkeypatch, tmp_path):
    """A loss is checked when it is logged, and a checkpoint may be due between two log lines."""
    monkeypatch.setattr(training_arguments, "CURVE_POINTS", 1)
    with pytest.raises(EngineError, match="A finite loss was expected"):
        train(
            mode="baseline",
            epochs=20,
            learning_rate=1e30,
            max_gradient_norm=0.0,
            arguments={"execution": Execution(checkpoint_minutes=0)},
        )
    assert not (tmp_path / "out").exists()
