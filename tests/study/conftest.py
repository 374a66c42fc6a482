"""A study that is small enough for tests, and text for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase

import pytest

from pytest_kdmem.study.config import StudyConfig
from pytest_kdmem.study.config_file import read_config
from tests.study.studies_by_hand import by_hand, whole_study

__all__ = ["by_hand", "whole_study"]

STUDY = """
name = "toy"
window_tokens = 24
prefix_tokens = 6
suffix_tokens = 6
vocabulary = 400
family = "pythia"
seeds = [0]
repetition = [[3, 0.25], [5, 0.125]]

[sizes]
large = { layers = 2, width = 32, heads = 2 }
medium = { layers = 1, width = 24, heads = 2 }
small = { layers = 1, width = 16, heads = 2 }

[datasets.web]
text = "web.jsonl"
examples = 16
held_out_examples = 4
shares = { pretraining = 0.4, training = 0.4, held_out = 0.1 }

[recipes]
base-large = { epochs = 1, learning_rate = 1e-3, precision = "float32" }
base-small = { epochs = 1, learning_rate = 1e-3, precision = "float32" }
teacher = { epochs = 2, learning_rate = 1e-2, precision = "float32" }
baseline = { epochs = 1, learning_rate = 1e-3, precision = "float32" }
soft = { epochs = 1, learning_rate = 1e-3, precision = "float32", temperature = 2.0 }
hard = { epochs = 1, learning_rate = 1e-3, precision = "float32" }

[parts.temperature]
dataset = "web"
values = [1.0, 2.0]

[parts.size]
dataset = "web"
size = "medium"

[parts.families]
dataset = "web"
families = ["olmo2"]

[parts.families.sizes]
large = { layers = 1, width = 24, heads = 2 }
small = { layers = 1, width = 16, heads = 2 }

[parts.pilot]
dataset = "web"

[parts.pilot.recipes]
teacher = { epochs = 1, learning_rate = 1e-3, precision = "float32" }
baseline = { epochs = 1, learning_rate = 2e-3, precision = "float32" }
soft = { epochs = 1, learning_rate = 2e-3, precision = "float32" }
"""


# Random words of two to seven letters, so few that a tokenizer has many of them whole, of which canaries are made.
WORDS = ["".join(random.Random(seed).choices(ascii_lowercase, k=2 + seed % 6)) for seed in range(90)]


def words(rng: random.Random, characters: int) -> str:
    """Random words of a small lexicon."""
    text = ""
    while len(text) < characters:
        text += rng.choice(WORDS) + " "
    return text.strip()


@pytest.fixture(scope="session")
def study_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: web.jsonl of 60 documents, and wiki.txt and wiki-held-out.txt in WikiText's form."""
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    rows = [json.dumps({"text": words(rng, rng.randint(200, 500))}) + "\n" for _ in range(60)]
    (folder / "web.jsonl").write_text("".join(rows), encoding="utf-8")
    for name, count in (("wiki", 30), ("wiki-held-out", 8)):
        lines = []
        for number in range(count):
            lines += ["", f" = {name} {number} = ", "", f" {words(rng, 250)} ", "", " = = Section = = ", ""]
            lines += [f" {words(rng, 250)} "]
        (folder / f"{name}.txt").write_text(" \n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Writes the toy study with some of its text exchanged, and gives the path."""

    def write(*exchanged: tuple[str, str]) -> Path:
        text = STUDY
        for old, new in exchanged:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy study as a file."""
    path = tmp_path_factory.mktemp("study") / "toy.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def toy(toy_file: Path) -> StudyConfig:
    """The toy study."""
    return read_config(toy_file)
