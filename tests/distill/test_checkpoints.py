"""A training that was stopped, by SIGTERM or by SIGKILL, comes to the same end as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pytest_kdmem.distill.checkpoints import latest_checkpoint, read_checkpoint, write_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.errors import DataError, SpecError, TrainingInterrupted
from pytest_kdmem.specs.checkpoint import weights_digest
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

EVERY_STEP = Execution(checkpoint_minutes=0)


class Stopper:
    """A progress that sends this process SIGTERM once a step is done."""

    def __init__(self, step: int, batch_size: int) -> None:
        self._at, self._done = step * batch_size, 0

    def start(self, what: str, total: int | None) -> None:
        pass

    def advance(self, examples: int) -> None:
        self._done += examples
        if self._done == self._at:
            signal.raise_signal(signal.SIGTERM)

    def finish(self) -> None:
        pass


@pytest.fixture
def stop(train):
    """Trains up to a step, and no further."""

    def run(out: str, step: int, *, how: dict | None = None, **recipe) -> Path:
        stopper = Stopper(step, recipe.get("batch_size", 8))
        with pytest.raises(TrainingInterrupted, match=f"Training stopped at step {step} of .* as SIGTERM asked"):
            train(out, how=(how or {}) | {"progress": stopper}, **recipe)

    return run


def card(model: Model):
    return read_run_card(Path(model.source))


def same(one: Model, other: Model) -> None:
    assert weights_digest(Path(one.source)) == weights_digest(Path(other.source))
    assert card(one).loss_curve == card(other).loss_curve
    assert card(one).held_out == card(other).held_out
    assert card(one).steps == card(other).steps


SOFT = {"epochs": 3, "cross_entropy_weight": 0.25}


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("execution", [Execution(), Execution(4)], ids=["one pass", "two passes"])
def test_a_training_stopped_by_sigterm_goes_on_as_if_it_had_not(
    train, stop, teacher, seven_rows, tmp_path, step, execution
):
    """In the middle of an epoch or at the end of one (step 2), where held-out text is read."""
    how = {"held_out": TrainingSet(str(seven_rows)), "execution": execution}
    stop("stopped", step, teacher=teacher, how=how, **SOFT)
    assert [path.name for path in tmp_path.iterdir()] == [".stopped.training"]
    assert latest_checkpoint(tmp_path / ".stopped.training").name == f"checkpoint-{step}"
    again, whole = (train(out, teacher=teacher, how=how, **SOFT) for out in ("stopped", "whole"))
    same(again, whole)
    assert (card(again).resumed_at, card(whole).resumed_at) == ((step,), ())
    assert [at for at, _ in card(again).held_out] == [2, 4, 6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stopped", "whole"]


def test_it_may_be_stopped_again_and_again(train, stop, tmp_path):
    recipe = {"mode": "baseline", "epochs": 3}
    for step in (1, 2, 4):
        stop("stopped", step, **recipe)
    again = train("stopped", **recipe)
    same(again, train("whole", **recipe))
    assert card(again).resumed_at == (1, 2, 4)


def test_a_stop_at_the_last_step_is_too_late(train):
    made = train(mode="baseline", how={"progress": Stopper(2, 8)})
    assert Path(made.source).is_dir()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_dropout_goes_on_where_it_was(train, stop, make_model, weights):
    dropping = Model(str(make_model("pythia", seed=2, initializer_range=0.02, hidden_dropout=0.3)))
    recipe = {"mode": "baseline", "epochs": 3}
    stop("stopped", 3, how={"init": dropping}, **recipe)
    again, whole = (train(out, how={"init": dropping}, **recipe) for out in ("stopped", "whole"))
    same(again, whole)
    plain = train("plain", **recipe)  # dropout was there at all
    assert not torch.equal(weights(plain)["embed_out.weight"], weights(whole)["embed_out.weight"])


def test_dropout_differs_from_step_to_step(train, make_model):
    """With a rate of next to nothing the weights stay, so the loss of the same rows differs by dropout alone."""
    dropping = Model(str(make_model("pythia", seed=1, hidden_dropout=0.3)))
    made = train(mode="baseline", epochs=3, batch_size=16, learning_rate=1e-12, how={"init": dropping})
    assert len({round(loss, 4) for _, loss in card(made).loss_curve}) == 3


@pytest.mark.parametrize("recipe", [{"mode": "hard"}, {"teacher_top_k": 4, "packing": True}], ids=str)
def test_what_the_teacher_said_is_not_asked_again(train, stop, teacher, monkeypatch, recipe):
    from pytest_kdmem.distill import prepare as run

    stop("stopped", 1, teacher=teacher, **recipe)
    loaded = []
    load = run.load_model
    monkeypatch.setattr(run, "load_model", lambda model, *a, **k: loaded.append(model.source) or load(model, *a, **k))
    again = train("stopped", teacher=teacher, **recipe)
    assert teacher.source not in loaded
    same(again, train("whole", teacher=teacher, **recipe))


def test_a_run_of_another_number_of_passes_takes_it_up(train, stop, weights):
    recipe = {"mode": "baseline", "epochs": 3}
    stop("stopped", 3, how={"execution": Execution(8)}, **recipe)
    again = train("stopped", how={"execution": Execution(2)}, **recipe)
    whole = train("whole", **recipe)
    assert card(again).loss_curve == pytest.approx(np.array(card(whole).loss_curve), rel=1e-5)
    for name, weight in weights(whole).items():
        torch.testing.assert_close(weights(again)[name], weight, rtol=2**-7, atol=1e-4)


@pytest.fixture(scope="module")
def long_run() -> list[str]:
    recipe = ["--mode", "baseline", "--epochs", "100", "--batch-size", "4", "--precision", "float32"]
    lengths = ["--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
    return [*recipe, "--learning-rate", "1e-3", *lengths, "--checkpoint-minutes", "0"]


def start(command: list[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest_kdmem", "distill", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_step(folder: Path, step: int, process: subprocess.Popen) -> None:
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


@pytest.fixture(scope="module")
def ended_by(init, rows, long_run, tmp_path_factory):
    """Folders of two trainings of 400 steps, one killed and one asked to end, and what became of each process."""
    found = {}
    for ending in (signal.SIGKILL, signal.SIGTERM):
        folder = tmp_path_factory.mktemp("ended")
        process = start(["--init", init.source, "--train", str(rows), "--out", str(folder / "out"), *long_run])
        until_step(folder / ".out.training", 5, process)
        process.send_signal(ending)
        said = process.communicate(timeout=120)
        found[ending] = (folder, process.returncode, said)
    return found


@pytest.fixture(scope="module")
def uninterrupted(init, rows, tmp_path_factory):
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.distill.run import distill

    return lambda out: distill(
        Recipe(mode="baseline", epochs=100, batch_size=4, precision="float32", learning_rate=1e-3),
        init=init,
        training_set=TrainingSet(str(rows)),
        out=out,
        extraction=_extraction(),
    )


def _extraction():
    from pytest_kdmem.specs.declared import Extraction

    return Extraction(8, 8, 24)


def test_killed_or_ended_from_outside_it_comes_to_the_same_end(ended_by, uninterrupted, tmp_path):
    whole = uninterrupted(tmp_path / "whole")
    for ending, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)):
        folder, returned, (out, err) = ended_by[ending]
        assert returned == code
        assert not (folder / "out").exists()
        reached = int(latest_checkpoint(folder / ".out.training").name.split("-")[1])
        assert 5 <= reached < 400
        if ending == signal.SIGTERM:
            assert f"kdmem: Training stopped at step {reached} of 400, as SIGTERM asked" in err
            assert "Traceback" not in out + err
        again = uninterrupted(folder / "out")
        same(again, whole)
        assert card(again).resumed_at == (reached,)
        assert [path.name for path in folder.iterdir()] == ["out"]


def test_nothing_pickled_is_written_and_no_teacher(train, stop, teacher, tmp_path):
    stop("out", 1, teacher=teacher, how={"cache_dir": None}, teacher_top_k=4)
    folder = tmp_path / ".out.training"
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} == {".safetensors", ".json", ".arrow", ""}
    assert {path.name for path in written if not path.suffix} <= {"lock", "shards"}
    train("out", teacher=teacher, teacher_top_k=4)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".safetensors", ".json", ".jinja", ".txt"}
    stop("live", 1, teacher=teacher)
    folder = tmp_path / ".live.training"
    for path in [*folder.rglob("*"), *(tmp_path / "out").iterdir()]:
        if path.is_file():
            assert not path.read_bytes().startswith((b"PK\x03\x04", b"\x80")), f"{path} is a zip or a pickle"
            if path.suffix == ".json":
                json.loads(path.read_text())
    [state] = folder.rglob("state.safetensors")
    with safe_open(state, "pt") as file, safe_open(tmp_path / "out" / "model.safetensors", "pt") as model:
        kept, students = set(file.keys()), set(model.keys())
        ours = {name for name in kept if name.startswith("weights/")}
        moments = {name.rsplit("/", 1)[1] for name in kept if name.startswith("optimizer/")}
        assert moments == {"step", "exp_avg", "exp_avg_sq"}
        assert (len(ours), len(kept)) == (len(students), 4 * len(students))
        student = {file.get_tensor(name).numpy().tobytes() for name in ours}
    with safe_open(Path(teacher.source) / "model.safetensors", "pt") as file:
        taught = {
            file.get_tensor(name).numpy().tobytes() for name in set(file.keys()) if file.get_tensor(name).std() > 0
        }
    assert not student & taught


def test_only_the_newest_checkpoint_is_kept(train, tmp_path):
    seen = []

    class Look(Stopper):
        def advance(self, examples: int) -> None:
            folder = tmp_path / ".out.training"
            seen.append(sorted(path.name for path in folder.glob("*checkpoint*")) if folder.is_dir() else [])

    train(mode="baseline", epochs=2, how={"execution": EVERY_STEP, "progress": Look(0, 8)})
    assert seen == [[], [], ["checkpoint-1"], ["checkpoint-2"], ["checkpoint-3"]]


def test_checkpoints_come_in_time_only(train, tmp_path):
    seen = []

    class Look(Stopper):
        def advance(self, examples: int) -> None:
            seen.append(latest_checkpoint(tmp_path / ".out.training"))

    train(mode="baseline", epochs=2, how={"execution": Execution(checkpoint_minutes=10), "progress": Look(0, 8)})
    assert set(seen) == {None}


def test_half_a_checkpoint_is_none(train, stop, tmp_path):
    recipe = {"mode": "baseline", "epochs": 2}
    stop("out", 2, **recipe)
    partial = tmp_path / ".out.training" / ".checkpoint-3.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"begun")
    (tmp_path / ".out.training" / "checkpoint-best").mkdir()
    assert latest_checkpoint(tmp_path / ".out.training").name == "checkpoint-2"
    same(train("out", **recipe), train("whole", **recipe))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "trainer_state.json"])
@pytest.mark.parametrize("damage", [truncated, Path.unlink], ids=["cut", "gone"])
def test_a_damaged_checkpoint_is_told_in_a_sentence(train, stop, tmp_path, name, damage):
    recipe = {"mode": "baseline", "epochs": 2}
    stop("out", 2, **recipe)
    damage(tmp_path / ".out.training" / "checkpoint-2" / name)
    with pytest.raises(
        DataError, match=r"was expected in .*checkpoint-2, which cannot be read \(.*\); delete the folder"
    ) as told:
        train("out", **recipe)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 1e-3},
        {"seed": 1},
        {"epochs": 4},
        {"init": 1},
        {"training_set": 1},
        {"held_out": 1},
        {"extraction": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_an_unfinished_training_of_other_settings_is_not_taken_up(train, stop, tmp_path, teacher, seven_rows, changed):
    from pytest_kdmem.specs.declared import Extraction

    recipe = {"mode": "baseline", "epochs": 2}
    stop("out", 2, **recipe)
    others = {
        "init": teacher,
        "training_set": TrainingSet(str(seven_rows)),
        "held_out": TrainingSet(str(seven_rows)),
        "extraction": Extraction(8, 8, 20),
    }
    how = {name: others[name] for name in changed if name in others}
    recipe |= {name: value for name, value in changed.items() if name not in others}
    with pytest.raises(
        SpecError, match=r"expected in .*\.out\.training, which holds an unfinished training of others; delete"
    ):
        train("out", how=how, **recipe)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_model_is_refused(toy, tmp_path):
    model, other = toy("neox"), toy("neox", hidden_size=32)
    write_checkpoint(tmp_path, model, torch.optim.AdamW(model.parameters()), {"step": 3}, "{}")
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(tmp_path / "checkpoint-3", other, torch.optim.AdamW(other.parameters()))


@pytest.mark.parametrize("kind", ["neox", "qwen3"])
def test_weights_and_moments_come_back_bit_by_bit(toy, tmp_path, kind):
    def moved(seed: int):
        model = toy(kind, seed=seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        for _ in range(2):
            model(input_ids=torch.tensor([[1, 2, 3, 4]])).logits.square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        return model, optimizer

    (model, optimizer), (other, others) = moved(0), moved(1)
    progress = {"step": 7, "scheduler": {"last_epoch": 7}}
    write_checkpoint(tmp_path, model, optimizer, progress, "{}")
    assert read_checkpoint(tmp_path / "checkpoint-7", other, others) == progress
    for name, weight in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], weight)
    for one, two in zip(optimizer.state.values(), others.state.values(), strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[part], two[part]) for part in one)
    # And the next step is the same.
    for one, its in ((model, optimizer), (other, others)):
        one(input_ids=torch.tensor([[5, 6, 7]])).logits.square().mean().backward()
        its.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], weight)
