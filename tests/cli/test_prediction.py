"""Options that `kdmem risk` and `kdmem prefilter` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.cli.options import ExampleOptions, RunOptions
from pytest_kdmem.cli.prediction import PairOptions, PredictorOptions
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.features import ALL_FEATURES, STUDY_FEATURES
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


def options(**changed):
    return PredictorOptions(**{"labels_from": None, "predictor": None, "risk_threshold": None} | changed)


def test_the_pipeline_has_the_models_and_the_data_of_the_options(tmp_path):
    run = RunOptions(
        offline=True, trust_remote_code=True, dtype="float32", device="cpu", batch_size=2, executor="local",
        workers=None, cpus_per_worker=1, accept_reading=None, screen_dtype="auto", no_compile=False,
    )  # fmt: skip
    read = {"text_column": "body", "form": "documents", "eos": None, "add_special_tokens": None, "tokenizer": "file"}
    read |= dict.fromkeys(
        ("eos_id", "order", "chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template")
    )
    examples = ExampleOptions(extraction=Extraction(8, 9, 30), token_dtype=None, **read)
    store, settings = ScoreStore(tmp_path), run.settings()
    pair = PairOptions(training_set="x.jsonl", teacher="t", baseline="b", teacher_base="u", baseline_base="c")
    pipeline = pair.pipeline(examples, run, store, settings, NO_PROGRESS)
    assert pipeline.teacher == Model("t", trust_remote_code=True, base="u")
    assert pipeline.baseline == Model("b", trust_remote_code=True, base="c")
    assert pipeline.training_set == TrainingSet("x.jsonl", **read)
    assert pipeline.extraction == Extraction(8, 9, 30)
    assert (pipeline.store, pipeline.run) == (store, settings)


def test_features_are_chosen_by_the_name_of_their_set():
    assert options().feature_names() == STUDY_FEATURES
    assert options(features="all").feature_names() == ALL_FEATURES
    with pytest.raises(SpecError, match=r"^--features must be one of study, all; found 'few'\.$"):
        options(features="few").feature_names()


def test_labels_and_a_fitted_predictor_exclude_each_other():
    assert options(predictor=Path("p.json")).label_source().predictor_path == Path("p.json")
    assert options(labels_from="scores.parquet").label_source().labels_from == Path("scores.parquet")
    with pytest.raises(SpecError, match="Either labels or a fitted predictor was expected"):
        options(labels_from="both", predictor=Path("p.json")).label_source()
