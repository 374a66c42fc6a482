"""A predictor's file holds everything that it depends on, and is refused if anything in it is missing or changed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.risk.predictor_file import (
    predictor_digest,
    predictor_from_json,
    predictor_to_json,
    read_predictor,
    write_predictor,
)


def rewrite(path, **changes):
    """Change the content of a predictor's file and give it a checksum that fits."""
    content = json.loads(path.read_text()) | changes
    content.pop("checksum")
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    path.write_text(json.dumps(content | {"checksum": checksum}))


def test_a_predictor_that_was_written_predicts_the_same_when_read(predictor, features, predicted, tmp_path):
    write_predictor(predictor, tmp_path / "p.json")
    restored = read_predictor(tmp_path / "p.json")
    assert predictor_digest(restored) == predictor_digest(predictor)
    assert np.array_equal(restored.log_odds(features.values), predictor.log_odds(features.values))
    assert apply_predictor(features, restored).share_at_risk.to_json() == predicted.share_at_risk.to_json()


def test_the_content_is_read_without_a_file(predictor):
    assert predictor_digest(predictor_from_json(predictor_to_json(predictor))) == predictor_digest(predictor)


def test_the_file_is_json_with_everything_that_it_depends_on(predictor, tmp_path):
    write_predictor(predictor, tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    assert content["kind"] == "kdmem risk predictor"
    assert content["schema_version"] == 1
    assert content["features"] == ["teacher_perplexity", "baseline_perplexity", "kl", "zlib_bytes"]
    assert len(content["coefficients"]) == len(content["mean"]) == len(content["lowest"]) == 4
    assert (content["positives"], content["examples"], content["labels"]) == (80, 2000, "teacher and baseline")
    assert content["source"]["teacher"] == "teacher"
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_text("{"), "no readable JSON"),
        (lambda path: path.write_text("[]"), "found no JSON object.* kdmem risk --save"),
        (lambda path: rewrite(path, kind="audit"), "found a file of another kind"),
        (lambda path: rewrite(path, schema_version=2), "of schema_version 1 was expected .* found 2: fit it anew"),
        (lambda path: path.write_text(path.read_text().replace("-", "", 1)), "was changed after it was written"),
        (lambda path: rewrite(path, features=["kl"]), "of another shape"),
        (lambda path: rewrite(path, features=["kl", "magic", "copies", "zlib_bytes"]), "must be one of"),
        (lambda path: rewrite(path, scale=[0, 1, 1, 1]), "out of its range"),
        (lambda path: rewrite(path, refits=[]), "of another shape"),
        (lambda path: rewrite(path, intercept=None), "out of its range"),
        (lambda path: rewrite(path, least=0.9, greatest=0.1), "out of its range"),
        (lambda path: rewrite(path, recall_log_odds=list(range(101, 0, -1))), "not in ascending order"),
        (lambda path: rewrite(path, quality={}), "metrics of the trials"),
        (lambda path: rewrite(path, quality=[]), "quality"),
        (lambda path: rewrite(path, labels="\x1b[2J"), "steer a terminal"),
        (lambda path: rewrite(path, examples=float("inf")), "examples"),
    ],
    ids=[
        *"absent cut list kind later changed features unknown scale refits".split(),
        *"intercept bounds recall few many escape infinite".split(),
    ],
)
def test_a_file_that_is_no_whole_predictor_is_refused_in_a_sentence(predictor, tmp_path, change, message):
    path = tmp_path / "p.json"
    write_predictor(predictor, path)
    change(path)
    with pytest.raises(DataError, match=message):
        read_predictor(path)


def test_it_is_written_whole_or_not_at_all(predictor, tmp_path):
    with pytest.raises(SpecError, match=r"ending in \.json; found"):
        write_predictor(predictor, tmp_path / "p.pickle")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SpecError, match="cannot be written"):
        write_predictor(predictor, tmp_path / "folder.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]
