"""Examples of another set that a training set holds beyond its sample are counted once, and the number is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.scoring import beyond_sample as module
from pytest_kdmem.scoring.beyond_sample import held_beyond_sample
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from tests.scoring.test_exchangeability import written


@pytest.fixture
def sampled(tmp_path: Path) -> tuple[ScoreTable, list[str]]:
    """A table that is said to be a sample of a set, and the digests of all examples of the set."""
    rows = np.random.default_rng(0).integers(1, 90, (60, 20)).astype(np.int32)
    table, digests = written(tmp_path, "train", rows)
    return replace(table, record=replace(table.record, exhaustive=False, read_as="a digest")), digests


def test_controls_of_the_training_set_are_counted_once_and_by_later_audits_from_the_store(
    sampled: tuple[ScoreTable, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, digests = sampled
    controls = [*digests[:7], "0" * 32]
    store = ScoreStore(tmp_path / "store")
    assert held_beyond_sample(table, controls, store) == 7
    assert held_beyond_sample(table, ["0" * 32], store) == 0
    monkeypatch.setattr(module, "stream_examples", None)
    assert held_beyond_sample(table, controls[::-1], ScoreStore(tmp_path / "store")) == 7
    assert held_beyond_sample(replace(table, record=replace(table.record, exhaustive=True)), controls, store) == 0


def test_a_stored_number_that_is_none_is_counted_again(sampled: tuple[ScoreTable, list[str]], tmp_path: Path) -> None:
    table, digests = sampled
    store = ScoreStore(tmp_path / "store")
    assert held_beyond_sample(table, digests[:3], store) == 3
    [entry] = (tmp_path / "store/overlaps").glob("*.json")
    for stored in (None, -1, 4, "0", 0.0):
        store.write_entry("overlaps", entry.stem, {"held": stored})
        assert held_beyond_sample(table, digests[:3], store) == 3


def test_a_set_of_which_no_digest_is_known_is_read_each_time(
    sampled: tuple[ScoreTable, list[str]], tmp_path: Path
) -> None:
    table, digests = sampled
    unknown = replace(table, record=replace(table.record, read_as=""))
    assert held_beyond_sample(unknown, digests, ScoreStore(tmp_path / "store")) == 60
    assert not (tmp_path / "store/overlaps").exists()
