"""What is said before lengths are advised: what the run card says, or which columns there are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.reading_first import reading_first
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, RunCard
from tests.specs.any_card import card

TOO_SHORT = "Examples of at least 100 tokens (prefix + suffix) were expected in x, and all 3 are shorter; set shorter."


@pytest.fixture
def notes(tmp_path: Path) -> str:
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps({"id": 1, "client": "a", "body": "b", "title": "c"}))
    return str(path)


def told(training_set: TrainingSet, error: KdmemError, card: RunCard | None = None) -> str:
    with pytest.raises(type(error)) as raised, reading_first("student", training_set, lambda: card):
        raise error
    return str(raised.value)


def test_what_the_run_card_says_comes_first(notes: str) -> None:
    origin = DataOrigin("data/notes.parquet", None, 3, 30, reading={"text_column": "body"})
    text = told(TrainingSet(notes, text_column="client"), DataError(TOO_SHORT), card(training_set=origin))
    assert text.startswith(
        "According to its run card, student was trained on notes.parquet, and this audit reads it by"
    )
    assert "text_column=client, where training had text_column=body" in text.replace('"', "")
    assert text.endswith(TOO_SHORT)


def test_without_a_run_card_the_other_columns_of_text_are_named(notes: str) -> None:
    expected = "Column 'client' of notes.jsonl is read as its text, and it also has body, title: if another one"
    for error in (DataError(TOO_SHORT), SpecError("x were expected to be as long as prefix and suffix (9 tokens)")):
        assert told(TrainingSet(notes, text_column="client"), error) == (
            f"{expected} was trained on, name it with --kdmem-text-column. {error}"
        )


@pytest.mark.parametrize(
    "declared", [{"text_column": "id"}, {"text_column": "gone"}, {"source": "s3://b/notes.jsonl"}, {"source": "x.npy"}]
)
def test_where_no_other_column_can_be_meant_nothing_is_added(notes: str, declared: dict[str, Any]) -> None:
    assert told(replace(TrainingSet(notes, text_column="client"), **declared), DataError(TOO_SHORT)) == TOO_SHORT


def test_other_errors_stay_as_they_are(notes: str) -> None:
    assert told(TrainingSet(notes, text_column="client"), DataError("malformed")) == "malformed"
