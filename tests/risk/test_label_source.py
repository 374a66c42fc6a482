"""Settings of labels and predictor are interpreted, and files that cannot be used are refused early."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.label_source import LabelSource, parse_label_source
from pytest_kdmem.risk.predictor_file import write_predictor
from pytest_kdmem.specs.declared import Extraction, Model


@pytest.mark.parametrize(
    ("labels_from", "predictor", "expected"),
    [
        (None, None, LabelSource()),
        ("both", None, LabelSource()),
        ("runs/student", None, LabelSource(Model("runs/student"))),
        (Model("org/student", revision="v1"), None, LabelSource(Model("org/student", revision="v1"))),
        ("scores.parquet", None, LabelSource(Path("scores.parquet"))),
        ("~/scores.parquet", None, LabelSource(Path.home() / "scores.parquet")),
        (None, "~/p.json", LabelSource(predictor_path=Path.home() / "p.json")),
    ],
)
def test_settings_are_interpreted(labels_from, predictor, expected):
    assert parse_label_source(labels_from, predictor) == expected


@pytest.mark.parametrize("labels_from", ["both", Model("runs/student")])
def test_labels_and_a_predictor_are_not_given_together(labels_from):
    with pytest.raises(SpecError, match=r"found both \((both|runs/student) and p.json\): drop --kdmem-labels-from"):
        parse_label_source(labels_from, "p.json")


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="A table of scores was expected"):
        LabelSource(tmp_path / "scores.parquet").check(Extraction())
    with pytest.raises(DataError, match="A predictor was expected"):
        LabelSource(predictor_path=tmp_path / "p.json").check(Extraction())


def test_a_predictor_of_other_lengths_is_refused(predictor, tmp_path):
    write_predictor(predictor, tmp_path / "p.json")
    source = LabelSource(predictor_path=tmp_path / "p.json")
    source.check(Extraction(50, 50, 128))
    with pytest.raises(SpecError, match="this one was fitted to 50, 50, 128"):
        source.check(Extraction(50, 50, 256))


def test_a_model_or_no_labels_need_no_check():
    LabelSource().check(Extraction())
    LabelSource(Model("runs/student")).check(Extraction())
