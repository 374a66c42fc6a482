"""A pipeline predicts from score pairs, and keeps predictors and near-duplicates in its store."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.pipeline import RiskPipeline, takes_every_document
from pytest_kdmem.risk.predictor_file import predictor_digest, write_predictor
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.risk.score_pairs import EXTRACTION, make_pair


@pytest.fixture
def pipeline(tmp_path) -> RiskPipeline:
    training_set = TrainingSet(str(tmp_path / "train.jsonl"))
    store = ScoreStore(tmp_path / "store")
    return RiskPipeline(Model("teacher"), Model("baseline"), training_set, EXTRACTION, store, RunSettings())


@pytest.fixture
def sampled_pair():
    return make_pair(exhaustive=False)


def test_a_predictor_is_fitted_to_what_both_models_recite(pipeline, sampled_pair, quick_fits):
    result = pipeline.predict(sampled_pair, LabelSource(), assess=True)
    assert set(range(40)) <= set(result.risk.examples)
    assert result.fitted is not None
    assert result.fitted.predictor is result.risk.predictor
    assert result.risk.near_duplicates == frozenset()
    assert result.risk.comparable_on == {
        "training set": sampled_pair.teacher.record.digest,
        "teacher": "teacher",
        "baseline": "baseline",
        "predictor": "teacher&baseline",
        "risk threshold": "recall of 95.00%",
    }


def test_what_takes_long_is_told(pipeline, sampled_pair, quick_fits):
    told = []

    class Told(NoProgress):
        def status(self, text):
            told.append(text)

    replace(pipeline, progress=Told()).predict(sampled_pair, LabelSource())
    assert told == ["fitting the predictor", ""]


def test_how_the_models_find_the_training_set_is_among_the_warnings(pipeline, sampled_pair, quick_fits):
    noted = replace(sampled_pair, baseline=replace(sampled_pair.baseline, notes=("the text is as unlikely as noise",)))
    assert pipeline.predict(noted, LabelSource()).risk.warnings[0] == "baseline: the text is as unlikely as noise"


def test_a_predictor_from_a_file_is_applied_without_fitting(pipeline, predictor, tmp_path):
    write_predictor(predictor, tmp_path / "p.json")
    pair = make_pair(2000, 80, exhaustive=False)
    result = pipeline.predict(pair, LabelSource(predictor_path=tmp_path / "p.json"), cutoff=Cutoff(0.3), assess=True)
    assert result.fitted is None
    assert result.risk.threshold == 0.3
    assert result.risk.predictor_digest == result.risk.comparable_on["predictor"] == predictor_digest(predictor)
    assert result.risk.comparable_on["risk threshold"] == "0.3"


def test_a_fitted_predictor_is_read_from_the_store(pipeline, sampled_pair, quick_fits):
    features = extract_features(sampled_pair)
    labels = labels_from_both_models(features)
    fitted = pipeline.fitted_predictor(features, labels)
    [path] = (pipeline.store.root / "predictors").glob("*.json")
    content = path.read_bytes()
    assert predictor_digest(pipeline.fitted_predictor(features, labels)) == predictor_digest(fitted)
    assert path.read_bytes() == content
    pipeline.fitted_predictor(features, replace(labels, source="a student"))
    assert len(list((pipeline.store.root / "predictors").glob("*.json"))) == 2


def test_a_damaged_predictor_in_the_store_is_fitted_anew(pipeline, sampled_pair, quick_fits):
    features = extract_features(sampled_pair)
    labels = labels_from_both_models(features)
    fitted = pipeline.fitted_predictor(features, labels)
    [path] = (pipeline.store.root / "predictors").glob("*.json")
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"scale": "damaged"}))
    assert predictor_digest(pipeline.fitted_predictor(features, labels)) == predictor_digest(fitted)


def test_near_duplicates_are_searched_once_and_then_read_from_the_store(pipeline, tiny):
    """The last text is the first but for its last letter."""
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), (20, 100))
    texts = ["".join(row) for row in letters]
    texts.append(texts[0][:-1] + "-")
    path = pipeline.store.root.parent / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    pipeline = replace(pipeline, extraction=Extraction(10, 10, 128))
    examples = list(stream_examples(pipeline.training_set, load_tokenizer(tiny), pipeline.extraction))
    digests = [example.digest for example in examples]
    scores = make_pair(len(texts), 0, digests=digests).teacher
    scores = replace(scores, checkpoint=replace(scores.checkpoint, folder=tiny))
    near_duplicates = pipeline.near_duplicates(scores, frozenset(digests[:1]))
    assert [(near.example_id, near.digest, near.duplicate_of) for near in near_duplicates] == [
        (20, digests[20], digests[0])
    ]
    path.unlink()
    assert pipeline.near_duplicates(scores, frozenset(digests[:1])) == near_duplicates
    assert pipeline.near_duplicates(scores, frozenset()) == ()


def test_labels_come_from_both_models_or_a_file(pipeline, sampled_pair, tmp_path):
    import pyarrow.parquet as pq

    features = extract_features(sampled_pair)
    assert pipeline.load_labels(features, None).memorized.sum() == 40
    rows = sampled_pair.teacher.rows
    flags = pa.array(np.arange(600) < 12)
    column = rows.column_names.index("memorized")
    pq.write_table(rows.set_column(column, "memorized", flags), tmp_path / "scores.parquet")
    assert pipeline.load_labels(features, tmp_path / "scores.parquet").memorized.sum() == 12


def test_only_a_set_of_whole_documents_takes_every_document(write_jsonl):
    texts = write_jsonl(["amber"])
    assert takes_every_document(TrainingSet(texts))
    assert not takes_every_document(TrainingSet(texts, form="blocks"))
    turns = [{"role": "assistant", "content": "amber"}]
    assert not takes_every_document(TrainingSet(write_jsonl([turns], "chat.jsonl", column="messages")))
