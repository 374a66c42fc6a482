"""Without --window-tokens, commands take the window of training from run cards; several windows are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.scoring.table import LENGTHS_KEY
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.run_card import write_run_card
from tests.specs.any_card import card

LENGTHS = ["--prefix-tokens=8", "--suffix-tokens=8"]


@pytest.fixture
def trained(tiny: Path, tmp_path: Path):
    """Makes a copy of a model with a run card of its weights, or of others."""

    def make(name: str, window: int, *, weights: str = "") -> Path:
        folder = shutil.copytree(tiny, tmp_path / name)
        lengths = {"prefix_tokens": 50, "suffix_tokens": 50, "window_tokens": window}
        digest = weights or open_checkpoint(Model(str(folder))).weights_digest
        write_run_card(card(weights=digest, extraction=lengths), folder)
        return folder

    return make


@pytest.fixture
def few(tmp_path: Path) -> Path:
    np.save(tmp_path / "few.npy", np.random.default_rng(0).integers(1, 200, (3, 40), dtype=np.int32))
    return tmp_path / "few.npy"


def scored_window(table: str) -> int:
    """The window of a table of scores, in tokens."""
    return int((pq.read_schema(table).metadata or {})[LENGTHS_KEY].decode().split(", ")[-1])


def test_the_window_of_the_run_card_is_taken_and_told(kdmem, trained, few):
    done = kdmem("score", trained("model", 24), few, *LENGTHS, "--out=scores.parquet")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "window of 24 tokens, as the run card of model says"
    assert scored_window("scores.parquet") == 24


def test_a_comparison_takes_it_too(kdmem, trained, few):
    models = [trained("model", 24), trained("other", 24)]
    done = kdmem("compare-models", *models, "--training-set", few, *LENGTHS)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "window of 24 tokens, as the run card of model says"


def test_a_window_that_is_given_is_kept_and_another_is_warned_of(kdmem, trained, few):
    model = trained("model", 24)
    for window, is_other in (("256", True), ("24", False)):
        done = kdmem("score", model, few, *LENGTHS, f"--window-tokens={window}", "--out=scores.parquet")
        assert done.code == 0, done.err
        assert ("(--window-tokens=24 makes both equal)" in done.out) is is_other
        assert "as the run card" not in done.out
        assert scored_window("scores.parquet") == int(window)


def test_a_card_of_other_weights_counts_for_nothing(kdmem, trained, few):
    done = kdmem("score", trained("model", 24, weights="0" * 32), few, *LENGTHS, "--out=scores.parquet")
    assert done.code == 0, done.err
    assert "warning: run card of model belongs to other weights" in done.out
    assert scored_window("scores.parquet") == 256


@pytest.mark.parametrize("command", [["risk"], ["prefilter", "--out=cleaned"]])
def test_several_windows_and_one_that_is_too_short_are_refused(kdmem, trained, few, command):
    teacher, baseline = trained("teacher", 24), trained("baseline", 30)
    name, *rest = command
    done = kdmem(name, few, f"--teacher={teacher}", f"--baseline={baseline}", *LENGTHS, *rest)
    assert done.code == 2
    assert "they were trained on 24 (teacher), 30 (baseline) tokens; choose one by --window-tokens" in done.err
    done = kdmem(name, few, f"--teacher={teacher}", f"--baseline={teacher}", *rest)
    assert done.code == 2
    assert "teacher was trained on windows of 24 tokens, and prefix and suffix take 100" in done.err
