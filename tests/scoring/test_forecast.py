"""A forecast counts what a run would score, and stores nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.errors import DryRun, SpecError
from pytest_kdmem.scoring import forecast as forecasts
from pytest_kdmem.scoring.forecast import Forecast
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings


@pytest.fixture
def model(tiny: Path) -> Model:
    return Model(tiny)


@pytest.fixture
def data(recited_rows: np.ndarray, tmp_path: Path) -> TrainingSet:
    np.save(tmp_path / "data.npy", recited_rows)
    return TrainingSet(tmp_path / "data.npy")


def forecast_of(model: Model, data: TrainingSet, store: ScoreStore, **settings: object) -> Forecast:
    run = RunSettings(**{"dry_run": True, "examples_per_shard": 16, **settings})  # type: ignore[arg-type]
    with pytest.raises(DryRun) as end:
        score(model, data, Extraction(), store, settings=run, metrics="verdict")
    [forecast] = end.value.forecasts
    assert isinstance(forecast, Forecast)
    return forecast


def test_what_is_not_stored_is_counted_and_timed(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "store")
    before = forecast_of(model, data, store)
    assert (before.examples, before.to_score, before.is_exact) == (90, 90, True)
    assert before.examples_per_second > 0
    assert before.seconds == pytest.approx(before.loading_seconds + 90 / before.examples_per_second)
    assert not store.root.exists()
    score(model, data, Extraction(), store, settings=RunSettings(examples_per_shard=16), metrics="verdict")
    stored_bytes = sum(path.stat().st_size for path in store.root.rglob("*.parquet"))
    assert before.size_bytes == pytest.approx(stored_bytes, rel=0.3)
    after = forecast_of(model, data, store)
    assert (after.examples, after.to_score, after.seconds) == (90, 0, 0)
    assert after.lines[-1].strip() == "nothing is to be scored"


def test_a_run_that_was_stopped_has_only_the_rest_before_it(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "store")
    score(model, data, Extraction(), store, settings=RunSettings(examples_per_shard=16), metrics="verdict")
    stored = sorted(store.root.rglob("scores/**/*.parquet"))
    stored[0].unlink()
    stored[1].unlink()
    missing = forecast_of(model, data, store)
    assert missing.to_score in (32, 26)  # two whole shards, or one of them the last, of 10
    for record in store.root.rglob("corpora/*"):
        record.unlink()
    assert forecast_of(model, data, store).to_score in (32, 26)


def test_a_sample_counts_what_it_draws_and_a_part_its_share(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "store")
    sampled = forecast_of(model, TrainingSet(data.source, sample=40), store)
    assert (sampled.examples, sampled.to_score) == (40, 40)
    assert forecast_of(model, data, store, part=Part(1, 3)).to_score == 30


def test_a_pair_is_one_run_of_two_models(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "store")
    with pytest.raises(DryRun) as end:
        score_pair(model, model, data, Extraction(), store, settings=RunSettings(dry_run=True))
    [forecast] = end.value.forecasts
    assert len(forecast.models) == 2
    assert forecast.to_score == 90
    assert not store.root.exists()


def test_what_takes_long_to_read_is_told_by_its_number_of_rows(
    model: Model, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasts, "READING_SECONDS", 0.0)
    known = forecast_of(model, data, ScoreStore(tmp_path / "store"))
    assert (known.examples, known.to_score, known.is_exact) == (90, 90, True)
    monkeypatch.setattr(forecasts, "expected_examples", lambda *_: None)
    unknown = forecast_of(model, data, ScoreStore(tmp_path / "store"))
    assert (unknown.examples, unknown.to_score, unknown.is_exact) == (16, 16, False)
    assert "at least 16 examples" in unknown.lines[1]


def test_other_machines_are_not_measured(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    settings = RunSettings(dry_run=True, executor="ray")
    with pytest.raises(SpecError, match="Executor local was expected of a dry run"):
        score(model, data, Extraction(), ScoreStore(tmp_path / "store"), settings=settings)
