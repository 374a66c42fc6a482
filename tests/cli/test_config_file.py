"""`kdmem distill --config FILE.toml`: options by their names, under those of the command line; nothing is misread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.recipe import Recipe
from tests.cli.test_distill import read_arguments

OPTIONS = """
teacher = "judge"
mode = "hard"
epochs = 2
learning-rate = 1e-3
packing = true
no-compile = false
checkpoint_minutes = 3
add-special-tokens = true
window-tokens = 128
"""


def written(text: str, folder: Path) -> str:
    (folder / "distill.toml").write_text(text)
    return str(folder / "distill.toml")


def test_options_of_a_file_are_those_of_the_command_line(tmp_path: Path) -> None:
    values = read_arguments("--config", written(OPTIONS, tmp_path))
    by_options = read_arguments(
        *["--teacher=judge", "--mode=hard", "--epochs=2", "--learning-rate=1e-3", "--packing"],
        *["--checkpoint-minutes=3", "--add-special-tokens=yes", "--window-tokens=128"],
    )
    assert values["recipe"] == Recipe(mode="hard", epochs=2, learning_rate=1e-3, packing=True)
    assert values["execution"] == Execution(checkpoint_minutes=3.0)
    assert {**values, "config": None} == by_options


def test_options_of_the_command_line_go_before_those_of_the_file(tmp_path: Path) -> None:
    recipe = read_arguments("--config", written(OPTIONS, tmp_path), "--epochs", "5")["recipe"]
    assert (recipe.epochs, recipe.mode) == (5, "hard")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "'epoch' is none; did you mean epochs?"),
        ("training-set = 'x'", "'training-set' is none; did you mean train?"),
        ("config = 'other.toml'", "'config' is none"),
        ("help = true", "'help' is none"),
        ("batch-size = 3\nbatch_size = 4", "batch-size occurs twice; remove one"),
        ("packing = 'yes'", "packing must be true or false"),
        ("epochs = [3]", "epochs must be one value in"),
        ("[mode]\nname = 'soft'", "and it is a table"),
        ("mode = 'sotf'", "mode must be one of baseline, soft, hard, on-policy; found 'sotf'"),
        ("epochs = 0", "epochs must be a whole number of at least 1; found 0"),
        ("epochs =", "A TOML file was expected at"),
        (None, "A file of options was expected at distill.toml, and it cannot be read"),
    ],
)
def test_what_is_no_option_is_refused(kdmem: Callable, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        written(text, tmp_path)
    done = kdmem("distill", "--init", "start", "--train", "rows.npy", "--out", "student", "--config", "distill.toml")
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not Path("student").exists()
