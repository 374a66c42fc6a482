"""Whoever writes over a model's files while it is scored changes nothing in that run, and nothing in the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(50, 50, 100)
SETTINGS = RunSettings(examples_per_shard=8)
ROWS = 24


def copy_over(weights: Path, new: Path) -> None:
    weights.write_bytes(new.read_bytes())


def write_within(weights: Path, new: Path) -> None:
    with weights.open("r+b") as file:
        file.write(new.read_bytes())


def write_through_a_map(weights: Path, new: Path) -> None:
    mapped = np.memmap(weights, dtype=np.uint8, mode="r+")
    mapped[:] = np.frombuffer(new.read_bytes(), np.uint8)
    del mapped  # without a flush: the time stamp may stay


def save_in_place(weights: Path, new: Path) -> None:
    save_file(load_file(new), weights, {"format": "pt"})


def replace_by_rename(weights: Path, new: Path) -> None:
    shutil.copy(new, weights.with_suffix(".new"))
    weights.with_suffix(".new").replace(weights)


def write_blocks_that_differ(weights: Path, new: Path) -> None:
    """As rsync --inplace does."""
    old, content = weights.read_bytes(), new.read_bytes()
    with weights.open("r+b") as file:
        for start in range(0, len(content), 512):
            if old[start : start + 512] != content[start : start + 512]:
                file.seek(start)
                file.write(content[start : start + 512])


def truncate(weights: Path, new: Path) -> None:
    os.truncate(weights, 100)


def cut_and_write(weights: Path, new: Path) -> None:
    os.truncate(weights, 0)
    with weights.open("ab") as file:
        file.write(new.read_bytes())


def write_zeros(weights: Path, new: Path) -> None:
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))


def remove(weights: Path, new: Path) -> None:
    weights.unlink()


WRITERS = (
    copy_over,
    write_within,
    write_through_a_map,
    save_in_place,
    replace_by_rename,
    write_blocks_that_differ,
    truncate,
    cut_and_write,
    write_zeros,
    remove,
)


class Interruption(NoProgress):
    """Progress that calls a function once so many examples are done."""

    def __init__(self, examples: int, function: Callable[[], None]) -> None:
        self._remaining, self._function = examples, function

    def advance(self, examples: int) -> None:
        if 0 < self._remaining <= examples:
            self._function()
        self._remaining -= examples


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> TrainingSet:
    """24 rows of 100 ids, every other one recited by the tiny model."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, recited_rows[:ROWS])
    return TrainingSet(str(path))


@pytest.fixture(scope="module")
def other(make_model) -> Path:
    """Weights of a model of the same shape that recites none of the rows."""
    return make_model("pythia", seed=21) / "model.safetensors"


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return shutil.copytree(tiny, tmp_path / "student")


@pytest.mark.parametrize(
    ("write", "examples"),
    [(write, 12) for write in WRITERS] + [(write, done) for write in (copy_over, truncate) for done in (1, ROWS)],
    ids=lambda value: value if isinstance(value, int) else value.__name__,
)
def test_rows_are_those_of_the_model_that_was_digested(write, examples, folder, tiny, other, data, tmp_path):
    store = ScoreStore(tmp_path / "store")
    progress = Interruption(examples, lambda: write(folder / "model.safetensors", other))
    table = score(Model(str(folder)), data, EXTRACTION, store, settings=SETTINGS, progress=progress)
    assert table.rows["memorized"].to_pylist() == [True, False] * (ROWS // 2)
    stored = score(Model(str(tiny)), data, EXTRACTION, store, settings=SETTINGS)
    assert stored.scored_now == 0
    assert stored.rows.equals(table.rows)
    if write not in (truncate, write_zeros, remove):
        changed = score(Model(str(folder)), data, EXTRACTION, store, settings=SETTINGS)
        assert changed.scored_now == ROWS
        assert not any(changed.rows["memorized"].to_pylist())


@pytest.mark.parametrize("write", [copy_over, write_through_a_map, truncate], ids=lambda writer: writer.__name__)
def test_a_pass_over_two_models_is_as_safe(write, folder, tiny, other, data, tmp_path):
    progress = Interruption(1, lambda: write(folder / "model.safetensors", other))
    pair = score_pair(
        Model(str(folder)), Model(str(tiny)), data, EXTRACTION, ScoreStore(tmp_path / "store"),
        settings=SETTINGS, progress=progress,
    )  # fmt: skip
    assert pair.teacher.rows["memorized"].to_pylist() == [True, False] * (ROWS // 2)
    assert not any(pair.kl["kl"].to_pylist())
