"""Files that an earlier version wrote are read as what they were, and stored scores are used in place of a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_kdmem.auditing.regression.baseline_file import read_accepted
from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predictor_file import read_predictor
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

RECORDS = Path(__file__).parent / "records"
SHARD = "243696eb584c65aa87949d7f04104e39"
VERDICTS_KEY = "4481c9158859400b-7b5948a0-00cb66cc"


def saved(name: str) -> dict:
    return json.loads((RECORDS / name).read_text(encoding="utf-8"))


def test_a_report_is_read_and_written_as_it_was() -> None:
    assert read_report(RECORDS / "report.json").to_json() == saved("report.json") | {"schema_version": 2}


def test_a_run_card_is_read() -> None:
    card, content = read_run_card(RECORDS), saved("kdmem_run.json")
    assert card is not None
    assert (card.mode, card.weights, card.steps) == (content["mode"], content["weights"], content["steps"])
    assert card.teacher is not None
    assert card.teacher.digest == content["teacher"]["digest"]
    assert [list(point) for point in card.loss_curve] == content["loss_curve"]


def test_a_predictor_is_read() -> None:
    predictor, content = read_predictor(RECORDS / "predictor.json"), saved("predictor.json")
    assert list(predictor.features) == content["features"]
    assert list(predictor.coefficients) == content["coefficients"]
    assert predictor.intercept == content["intercept"]
    assert len(predictor.refits) == len(content["refits"]) == 100


def test_accepted_figures_are_read() -> None:
    entries = saved("accepted.json")["audits"]["audits/qwen3"]
    accepted = read_accepted(RECORDS / "accepted.json").for_audit("audits/qwen3")
    assert [(figure.metric, figure.subject, figure.estimate.value) for figure in accepted] == [
        (entry["metric"], entry["subject"], entry["estimate"]["value"]) for entry in entries
    ]


def test_a_store_is_read(tmp_path: Path) -> None:
    store = ScoreStore(shutil.copytree(RECORDS / "store", tmp_path / "store"))
    info = store.info()
    assert (info.shards, info.corpora, info.confirmations) == (6, 2, 3)
    table = store.read_shard(VERDICTS_KEY, SHARD)
    assert table is not None
    assert len(table) == 300
    [corpus] = [record for _, record in store.records() if record.shards == (SHARD,)]
    assert (corpus.examples, corpus.too_short) == (7008, 40)


def test_stored_scores_take_the_place_of_a_model(tmp_path: Path, shipped: Path) -> None:
    """This holds with the versions that wrote them, which are those of `constraints.txt`."""
    store = ScoreStore(shutil.copytree(RECORDS / "store", tmp_path / "store"))
    student = Model(str(shipped / "models/qwen3/student"))
    sample = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=300)
    scores = score(student, sample, Extraction(50, 50, 128), store, metrics="verdict")
    if scores.numerics.digest[:8] != VERDICTS_KEY.rpartition("-")[2]:
        pytest.skip("engine, device, dtype or versions are not those that the records were written with")
    assert scores.scored_now == 0
    entry = saved("report.json")["memorization"]["student"]
    rate = Memorization("student", scores, 0.95).rate
    assert (rate.k, rate.n, rate.high) == (entry["k"], entry["n"], pytest.approx(entry["high"], rel=1e-12))
