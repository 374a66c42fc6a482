"""A model that saw a cleaned copy alone is told where figures are over the whole set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.cleaned_students import CANARIES, cleaned_warning, diluted_warning
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, RunCard
from tests.specs.any_card import card


@pytest.fixture
def whole(tmp_path: Path) -> TrainingSet:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    return TrainingSet(tmp_path / "train.jsonl")


def cleaned(whole: TrainingSet, **changed: Any) -> RunCard:
    """The card of a model that saw a cleaned copy."""
    origin = {"source": "cleaned/train.jsonl", "fingerprint": "c" * 32, "examples": 800, "tokens": 0}
    origin |= {"cleaned_from": training_fingerprint(whole)} | changed
    return card(training_set=DataOrigin(**origin))


def test_a_figure_over_the_whole_set_of_a_model_of_the_cleaned_copy_is_told(whole: TrainingSet) -> None:
    [warning] = cleaned_warning(cleaned(whole), "student", whole, CANARIES)
    trained = "according to its run card, student was trained on a cleaned copy of train"
    assert warning == f"{trained}: {CANARIES}"
    [warning] = cleaned_warning(cleaned(whole, source="cleaned/few.jsonl"), "student", whole, CANARIES)
    assert "was trained on few.jsonl, a cleaned copy of train: " in warning


def test_of_another_set_and_of_other_models_nothing_is_told(whole: TrainingSet, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"text": "three"}\n')
    assert cleaned_warning(cleaned(whole), "student", TrainingSet(tmp_path / "other.jsonl"), CANARIES) == []
    saw_all = cleaned(whole, fingerprint=training_fingerprint(whole))
    for made in (None, card(), cleaned(whole, cleaned_from=None), saw_all):
        assert cleaned_warning(made, "student", whole, CANARIES) == []


@pytest.mark.parametrize(("seen", "is_told"), [(0, True), (899, True), (900, False), (1000, False), (1001, False)])
def test_rates_over_a_set_of_which_a_tenth_was_left_out_are_told(whole: TrainingSet, seen: int, is_told: bool) -> None:
    warnings = diluted_warning(cleaned(whole, examples=seen), "student", whole, 1000)
    assert len(warnings) == is_told
    assert all(f"{1000 - seen} of 1 000 rows" in warning.replace("1 000 of", "1000 of") for warning in warnings)
    assert diluted_warning(None, "student", whole, 1000) == []
    assert diluted_warning(cleaned(whole, examples=seen, cleaned_from=None), "student", whole, 1000) == []
