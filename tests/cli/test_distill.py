"""`kdmem distill`: what it hands to the training, what it prints, and how it ends."""

from __future__ import annotations

import functools
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from pytest_kdmem.cli import distill
from pytest_kdmem.cli.parameters import typer_command
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.engines.transformers.any_adapter import KINDS, save_adapter
from tests.specs.model_folder import change_json

CHANGED = Recipe(
    mode="hard", temperature=3.0, divergence="reverse", jsd_weight=0.25, sampling_temperature=0.5,
    cross_entropy_weight=0.5, epochs=2, learning_rate=1e-3, batch_size=8, warmup=0.1, weight_decay=0.01,
    max_gradient_norm=0.5, packing=True, precision="float32", seed=7, lora_rank=8,
)  # fmt: skip


def read_arguments(*arguments: str) -> dict:
    """The values that the command makes of its arguments."""
    received = []
    app = typer.Typer()
    app.command()(typer_command(functools.wraps(distill.distill)(lambda **values: received.append(values))))
    result = CliRunner().invoke(app, ["--init", "start", "--train", "rows.npy", "--out", "student", *arguments])
    assert result.exit_code == 0, result.output
    [values] = received
    return values


def test_the_command_alone_has_the_default_recipe():
    values = read_arguments()
    assert (values["recipe"], values["execution"]) == (Recipe(), Execution())
    assert values["examples"].extraction == Extraction()


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Recipe) if field.name not in ("teacher_top_k", "lora_target")]
)
def test_every_field_of_a_recipe_is_an_option(name):
    option, value = f"--{name.replace('_', '-')}", getattr(CHANGED, name)
    assert value != getattr(Recipe(), name)
    arguments = [option] if value is True else [option, str(value)]
    assert read_arguments(*arguments)["recipe"] == replace(Recipe(), **{name: value})


def test_all_else_is_read_as_well():
    values = read_arguments(
        *["--teacher", "judge", "--held-out", "other.npy", "--micro-batch-size", "2", "--gradient-checkpointing"],
        *["--checkpoint-minutes", "3", "--text-column", "body", "--form", "blocks", "--prefix-tokens", "8"],
        *["--suffix-tokens", "9", "--window-tokens", "30", "--cache-dir", "kept", "--offline", "--trust-remote-code"],
        *["--teacher-top-k", "64", "--no-compile", "--lora-rank", "8", "--lora-target", "q_proj,v_proj"],
        *["--init-base", "under", "--teacher-base", "below"],
    )
    files, examples, loading = values["files"], values["examples"], values["loading"]
    assert (files.init, files.training_set, files.out) == ("start", "rows.npy", Path("student"))
    assert (files.teacher, files.held_out) == ("judge", "other.npy")
    assert (files.init_base, files.teacher_base) == ("under", "below")
    assert loading.model("start") == Model("start", trust_remote_code=True)
    assert examples.training_set("rows.npy") == TrainingSet("rows.npy", text_column="body", form="blocks")
    assert values["execution"] == Execution(2, True, 3.0, no_compile=True)
    assert values["recipe"] == Recipe(teacher_top_k=64, lora_rank=8, lora_target="q_proj,v_proj")
    assert examples.extraction == Extraction(8, 9, 30)
    assert (values["cache_dir"], loading.offline) == (Path("kept"), True)


def training(tiny, data, *arguments: str | Path) -> list[str | Path]:
    """A command that trains for two steps."""
    short = ["--epochs", "1", "--batch-size", "6", "--precision", "float32"]
    return ["distill", "--init", tiny, "--train", data, "--out", "student", *short, *arguments]


def test_what_the_teacher_cannot_continue_is_told(kdmem, tiny, rows, tmp_path):
    examples = [*rows[:5].tolist(), rows[5].tolist()[:7], rows[6].tolist()[:3]]
    pq.write_table(pa.table({"input_ids": examples}), tmp_path / "train.parquet")
    short = ["--prefix-tokens=8", "--suffix-tokens=4", "--window-tokens=14", "--mode=hard"]
    done = kdmem(*training(tiny, "train.parquet", "--teacher", tiny, *short))
    assert done.code == 0, done.err
    told = "2 of 7 examples are left out: they end before the prefix of 8 tokens that is continued"
    lines = done.out.splitlines()
    assert lines[lines.index(told) + 1] == "hard distillation: 5 examples, 1 epoch"


def test_it_trains_and_prints_what_it_does(kdmem, tiny, data):
    done = kdmem(*training(tiny, data, "--teacher", tiny, "--held-out", data))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("learning from ")
    assert lines[1] == "soft distillation: 12 examples, 1 epoch"
    assert lines[2].startswith("epoch 1 of 1: mean loss ")
    assert ", held-out loss " in lines[2]
    assert lines[3] == "soft distillation: the model is in student"
    assert Path("student/model.safetensors").is_file()
    assert not Path(".student.training").exists()


def test_the_base_of_an_adapter_is_where_the_options_say(kdmem, tiny, data, tmp_path):
    adapter = save_adapter(tiny, KINDS["LoRA"][1], tmp_path / "adapter")
    change_json(adapter / "adapter_config.json", base_model_name_or_path="gone")
    command = training(adapter, data, "--teacher", adapter)
    assert "The base of the adapter in" in kdmem(*command).err
    assert "The base of the adapter in" in kdmem(*command, "--init-base", tiny).err
    assert kdmem(*command, "--init-base", tiny, "--teacher-base", tiny).code == 0


def test_a_folder_that_holds_files_is_left_alone(kdmem, tiny, data):
    Path("student").mkdir()
    Path("student/notes.txt").write_text("mine")
    done = kdmem(*training(tiny, data, "--mode", "baseline"))
    assert done.code == 2
    assert done.err.startswith("kdmem: An empty or new folder was expected")
    assert [path.name for path in Path("student").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "sotf"], "mode must be one of baseline, soft, hard, on-policy; found 'sotf'"),
        (["--divergence", "kl"], "divergence must be one of forward, reverse, jsd"),
        (["--temperature", "0"], "temperature must be a number above 0"),
        (["--lora-target", "dense"], "lora-rank was expected with lora-target"),
        (["--mode", "baseline", "--lora-rank", "2", "--lora-target", "nothing"], "found 'nothing'."),
        (["--teacher-top-k", "0"], "teacher-top-k must be a whole number of at least 1"),
        (["--micro-batch-size", "0"], "micro-batch-size must be a whole number of at least 1"),
        (["--mode", "baseline", "--micro-batch-size", "4"], "in passes of 4 was expected; found 6"),
        (["--checkpoint-minutes", "-1"], "checkpoint-minutes must be a number of at least 0"),
        ([], "A teacher was expected for mode soft, and none was given; name one with --teacher."),
        (["--held-out", "nowhere.jsonl", "--mode", "baseline"], "nowhere.jsonl"),
        (["--window-tokens", "20"], "window-tokens must hold prefix and suffix"),
    ],
    ids=str,
)
def test_a_wrong_option_is_one_sentence(kdmem, tiny, data, arguments, message):
    done = kdmem(*training(tiny, data, *arguments))
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("student").exists()


class StoppingOutput:
    """A stream that sends this process a signal when it is shown that half of the examples are done."""

    def __init__(self, output, signal_number):
        self._output, self._signal_number = output, signal_number

    def __getattr__(self, name):
        return getattr(self._output, name)

    def write(self, text):
        self._output.write(text)
        if "6 of 12 examples" in text:
            signal.raise_signal(self._signal_number)


@pytest.mark.parametrize(
    ("signal_number", "sender", "exit_code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)]
)
def test_a_training_that_a_signal_stops_has_its_exit_code_and_goes_on_when_given_again(
    kdmem, tiny, data, monkeypatch, signal_number, sender, exit_code
):
    command = training(tiny, data, "--mode", "baseline")
    with monkeypatch.context() as patched:
        patched.setattr("pytest_kdmem.base.progress.SECONDS_BETWEEN_LINES", 0)
        patched.setattr(sys, "stderr", StoppingOutput(sys.stderr, signal_number))
        stopped = kdmem(*command)
    assert stopped.code == exit_code
    assert stopped.err.startswith(f"kdmem: Training stopped at step 1 of 2, as {sender} asked")
    assert not Path("student").exists()
    again = kdmem(*command)
    assert again.code == 0
    assert "resuming at step 1" in again.out
    assert Path("student/model.safetensors").is_file()
