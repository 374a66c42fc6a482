"""Two scored sets are told apart or not, and the outcome is stored with the digests of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.corpus.shards import CorpusReader
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring import exchangeability as module
from pytest_kdmem.scoring.exchangeability import exchangeability
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.metrics.score_tables import NUMERICS, memorization_from, row

LENGTHS = Extraction(5, 5, 20)


def written(folder: Path, name: str, rows: np.ndarray) -> tuple[ScoreTable, list[str]]:
    """A set of token ids, with a score table of its examples."""
    np.save(folder / f"{name}.npy", rows)
    data = TrainingSet(folder / f"{name}.npy")
    reader = CorpusReader(data, None, LENGTHS)
    digests = [example.digest for shard in reader for example in shard.examples]
    model = memorization_from([row(digest) for digest in digests]).scores
    table = ScoreTable(
        model.model, model.checkpoint, data, reader.record, NUMERICS, LENGTHS, model.rows, model.tolerance, 0
    )
    return table, digests


@pytest.fixture
def halves(tmp_path: Path) -> list[tuple[ScoreTable, list[str]]]:
    rows = np.random.default_rng(0).integers(1, 90, (120, 20)).astype(np.int32)
    return [written(tmp_path, "train", rows[:60]), written(tmp_path, "control", rows[60:])]


def test_the_outcome_is_computed_once_and_holds_no_token_ids(halves, tmp_path, monkeypatch):
    store = ScoreStore(tmp_path / "store")
    outcome = exchangeability(*halves, store)
    assert outcome.examples == 60
    assert outcome.p_value > module.LEVEL
    [stored] = (tmp_path / "store/exchangeability").glob("*.json")
    assert json.loads(stored.read_text()).keys() == {"auc", "p_value", "examples", "key", "format", "checksum"}
    monkeypatch.setattr(module, "blind_test", None)
    assert exchangeability(*halves, ScoreStore(tmp_path / "store")) == outcome


def test_a_set_of_other_text_is_told_apart(halves, tmp_path):
    rows = np.random.default_rng(1).integers(5, 95, (60, 20)).astype(np.int32)
    outcome = exchangeability(halves[0], written(tmp_path, "other", rows), ScoreStore(tmp_path / "store"))
    assert outcome.p_value <= module.LEVEL


def test_a_set_that_changed_since_it_was_scored_is_refused(halves, tmp_path):
    np.save(tmp_path / "control.npy", np.ones((60, 20), np.int32))
    with pytest.raises(DataError, match="60 of 60 are no longer there"):
        exchangeability(*halves, ScoreStore(tmp_path / "store"))


@pytest.mark.parametrize("change", [{"p_value": None}, {"p_value": 1.5}, {"auc": "inf"}, {"examples": 0}], ids=str)
def test_a_stored_outcome_that_no_test_has_is_computed_again(halves, tmp_path, change):
    store = ScoreStore(tmp_path / "store")
    outcome = exchangeability(*halves, store)
    [entry] = (tmp_path / "store/exchangeability").glob("*.json")
    store.write_entry("exchangeability", entry.stem, to_json(outcome) | change)
    assert exchangeability(*halves, store) == outcome
