"""Prefixes are continued as plain greedy decoding does, one token at a time and without a cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.scoring.continuations import continuations
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.chat import decode_greedily

EXTRACTION = Extraction(8, 6, 20)
SETTINGS = RunSettings(device="cpu", accept_reading="noise")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 290, (5, 20), dtype=np.int32)


@pytest.fixture(scope="module")
def scores(tiny: Path, rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> ScoreTable:
    folder = tmp_path_factory.mktemp("continuations")
    np.save(folder / "rows.npy", rows)
    store = ScoreStore(folder / "store")
    return score(Model(tiny), TrainingSet(folder / "rows.npy"), EXTRACTION, store, settings=SETTINGS)


def test_each_prefix_is_continued_by_as_many_tokens_as_a_suffix_has(
    scores: ScoreTable, rows: np.ndarray, tiny: Path
) -> None:
    # Of one example the prefix is its own, as that of an answer is.
    examples = [Example(position, row, prefix_tokens=5 if position == 2 else None) for position, row in enumerate(rows)]
    continued = continuations(scores, examples, SETTINGS)
    for example, ids in zip(examples, continued, strict=True):
        prefix = example.ids[: example.prefix_tokens or EXTRACTION.prefix_tokens].tolist()
        assert ids.tolist() == decode_greedily(tiny, prefix, EXTRACTION.suffix_tokens)


def test_without_examples_no_model_is_loaded(scores: ScoreTable, tmp_path: Path) -> None:
    gone = replace(scores, checkpoint=replace(scores.checkpoint, folder=tmp_path / "gone"))
    assert continuations(gone, [], SETTINGS) == []
