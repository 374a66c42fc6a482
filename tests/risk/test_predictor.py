"""A predictor → file → predictor, and where its word counts for nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.risk.predictor_file import predictor_digest, read_predictor, write_predictor
from pytest_kdmem.specs.declared import Extraction


@pytest.fixture(scope="module")
def fitted(make_pair):
    features = extract_features(make_pair())
    return fit_predictor(features, labels_from_both_models(features)).predictor


def rewritten(path, **changes):
    """A predictor's file with other content, under a checksum that fits."""
    content = json.loads(path.read_text()) | changes
    content.pop("checksum")
    whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    path.write_text(json.dumps(content | {"checksum": whole}))


def test_what_is_written_is_read_again_and_predicts_the_same(fitted, make_pair, tmp_path):
    write_predictor(fitted, tmp_path / "p.json")
    again = read_predictor(tmp_path / "p.json")
    assert predictor_digest(again) == predictor_digest(fitted)
    features = extract_features(make_pair(seed=0))
    assert np.array_equal(again.log_odds(features.values), fitted.log_odds(features.values))
    one, other = (apply_predictor(features, predictor) for predictor in (fitted, again))
    assert one.share_at_risk.to_json() == other.share_at_risk.to_json()


def test_the_file_is_json_that_tells_all_it_depends_on(fitted, tmp_path):
    write_predictor(fitted, tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    assert content["kind"] == "kdmem risk predictor"
    assert content["schema_version"] == 1
    assert content["features"] == ["teacher_perplexity", "baseline_perplexity", "kl", "zlib_bytes"]
    assert len(content["coefficients"]) == len(content["mean"]) == len(content["lowest"]) == 4
    assert (content["positives"], content["examples"], content["labels"]) == (40, 600, "teacher and baseline")
    assert content["source"]["teacher"] == "teacher"
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_text("{"), "no readable JSON"),
        (lambda path: path.write_text("[]"), "found no JSON object: fit it anew with kdmem risk --save"),
        (lambda path: rewritten(path, kind="audit"), "found a file of another kind"),
        (lambda path: rewritten(path, schema_version=2), "of schema_version 1 was expected .*; found 2: fit it anew"),
        (lambda path: path.write_text(path.read_text().replace("-", "", 1)), "was changed after it was written"),
        (lambda path: rewritten(path, features=["kl"]), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, scale=[0, 1, 1, 1]), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, refits=[]), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, intercept=None), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, least=0.9, greatest=0.1), "a part of it is missing, unknown or of another kind"),
        (
            lambda path: rewritten(path, recall_log_odds=list(range(101, 0, -1))),
            "a part of it is missing, unknown or of another kind",
        ),
        (lambda path: rewritten(path, quality={}), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, quality=[]), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, labels="\x1b[2J"), "a part of it is missing, unknown or of another kind"),
        (lambda path: rewritten(path, examples=float("inf")), "a part of it is missing, unknown or of another kind"),
    ],
    ids="absent cut list other later changed features scale refits intercept bounds marks few many escape inf".split(),
)
def test_a_file_that_is_no_whole_predictor_is_one_sentence(fitted, tmp_path, change, words):
    path = tmp_path / "p.json"
    write_predictor(fitted, path)
    change(path)
    with pytest.raises(DataError, match=words):
        read_predictor(path)


def test_it_is_written_whole_or_not_at_all(fitted, tmp_path):
    with pytest.raises(SpecError, match=r"ending in \.json; found"):
        write_predictor(fitted, tmp_path / "p.pickle")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SpecError, match="cannot be written"):
        write_predictor(fitted, tmp_path / "folder.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def test_a_predictor_whose_risks_are_no_numbers_gates_nothing(fitted, make_pair):
    broken = replace(fitted, scale=np.full(4, 1e-320), coefficients=np.array([1.0, -1.0, 0.0, 0.0]))
    with np.errstate(all="ignore"), pytest.raises(SpecError, match="Finite risks were expected"):
        apply_predictor(extract_features(make_pair()), broken)


def test_it_refuses_other_lengths(fitted, make_pair):
    features = extract_features(make_pair(extraction=Extraction(50, 50, 256)))
    with pytest.raises(SpecError, match=r"50, 50, 256 .* was expected, and this one was fitted to 50, 50, 128"):
        apply_predictor(features, fitted)


def test_it_warns_of_a_few_examples_outside_what_it_saw_and_refuses_many(fitted, make_pair):
    zlib = np.full(600, 400)
    zlib[-30:] = 10_000
    found = apply_predictor(extract_features(make_pair(zlib_bytes=zlib)), fitted)
    [said] = found.warnings
    assert "30 of 600 examples of train lie outside" in said
    assert "most by zlib_bytes" in said
    # What it knows nothing of is not known to be safe.
    assert set(range(570, 600)) <= set(found.examples)
    assert found.share_at_risk.low >= 30 / 600
    zlib[-31:] = 10_000
    with pytest.raises(SpecError, match=r"31 of 600 examples .* at most 5.00% may: fit it to data of this kind"):
        apply_predictor(extract_features(make_pair(zlib_bytes=zlib)), fitted)


def test_it_warns_of_other_models(fitted, make_pair):
    features = extract_features(make_pair())
    assert apply_predictor(features, fitted).warnings == ()
    other = replace(features, source=replace(features.source, teacher="another", tokenizer="another"))
    assert apply_predictor(other, fitted).warnings == (
        "the predictor was fitted with another teacher",
        "the predictor was fitted with another tokenizer",
    )


def test_log_odds_of_a_risk_are_those_that_have_it(fitted):
    predictor = replace(fitted, least=0.01, greatest=0.9)
    for risk in (0.02, 0.3, 0.89):
        assert predictor.risk(np.array([predictor.log_odds_for_risk(risk)])) == pytest.approx([risk])
    assert predictor.log_odds_for_risk(0.005) == -np.inf
    assert predictor.log_odds_for_risk(0.95) == np.inf


def test_recall_marks_find_what_they_promise(fitted):
    for recall in (0.5, 0.9, 0.95, 1.0):
        assert fitted.recall_at(fitted.log_odds_for_recall(recall)) >= recall
    assert fitted.log_odds_for_recall(0.99) <= fitted.log_odds_for_recall(0.5)
    assert fitted.recall_at(-1e9) == 1
    assert fitted.recall_at(1e9) == 0
