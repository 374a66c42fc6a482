"""`kdmem risk`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.audit_project import rows_of_cells


def test_risks_are_printed_and_written(predict):
    done = predict("risk", "--save=predictor.json", "--out=risk.parquet", "--features=all")
    assert done.code == 0
    for words in ("25 of 100 distinct examples recited by teacher and baseline", "ROC-AUC", "0.9997", "Brier score"):
        assert words in done.out
    table = pq.read_table("risk.parquet")
    assert len(table) == 100
    assert table["copies"].to_pylist()[:12] == [2] * 10 + [1] * 2
    assert json.loads(Path("predictor.json").read_text())["features"][-1] == "copies"
    assert "at risk: 10 with exact duplicates" in done.out


def test_a_saved_predictor_predicts_as_it_did_when_it_was_fitted(predict):
    fitted = predict("risk", "--save=predictor.json", "--out=fitted.parquet")
    loaded = predict("risk", "--predictor=predictor.json", "--out=loaded.parquet")
    assert (fitted.code, loaded.code) == (0, 0)
    assert pq.read_table("fitted.parquet")["risk"].equals(pq.read_table("loaded.parquet")["risk"])


def test_nothing_is_written_over_the_training_set(predict, parquet):
    before = parquet.read_bytes()
    done = predict("risk", f"--out={parquet}", data=str(parquet))
    assert done.code == 2
    assert "--out would overwrite the training set, rows.parquet" in done.err
    assert parquet.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save=predictor.txt"], "--save must end in .json; found predictor.txt"),
        (["--out=risk.json"], "--out must end in .parquet; found risk.json"),
        (
            ["--predictor=p.json", "--save=q.json"],
            "A predictor to be fitted was expected with --save; p.json is fitted",
        ),
        (["--predictor=p.json", "--labels-from=both"], "drop --labels-from or --predictor"),
        (["--threshold=1"], "--threshold must be a number above 0 and below 1; found 1.0."),
        (["--shard=3/2"], "--shard must be of the form 3/16"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_do_not_fit_are_one_sentence(predict, arguments, message):
    done = predict("risk", *arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_token_ids_without_a_tokenizer_cannot_be_predicted_from(kdmem, make_model):
    folders = [make_model(seed=seed) for seed in (1, 2)]
    for folder in folders:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    np.save("ids.npy", rows_of_cells(all=3, none=3))
    models = [f"--teacher={folders[0]}", f"--baseline={folders[1]}"]
    done = kdmem("risk", "ids.npy", *models, "--prefix-tokens=12", "--suffix-tokens=8")
    assert done.code == 2
    assert "no tokenizer lies beside the models, so there is no text to compress" in done.err
