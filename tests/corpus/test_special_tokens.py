"""Special tokens that a tokenizer adds by itself belong to examples as declared, or as the model's run card tells."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.special_tokens import (
    check_promises,
    has_special_tokens,
    possible_fingerprints,
    special_tokens_by_card,
)
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.corpus.tokenizer_layouts import LAYOUTS
from tests.specs.any_card import card

BOS = "<s> before each text"


@pytest.mark.parametrize(
    ("declared", "adds", "answer", "expected"),
    [
        (True, BOS, False, True),
        (False, BOS, True, False),
        (True, "", None, True),
        (None, "", True, False),
        (None, BOS, True, True),
        (None, BOS, False, False),
    ],
)
def test_what_is_declared_goes_before_what_is_known(declared, adds, answer, expected):
    assert has_special_tokens(TrainingSet("a.jsonl", add_special_tokens=declared), adds, answer) is expected


def test_what_is_neither_declared_nor_known_is_refused_with_the_tokens_and_the_way_out():
    with pytest.raises(SpecError, match=rf"adds {BOS} by itself, .*--kdmem-add-special-tokens=yes or no"):
        has_special_tokens(TrainingSet("a.jsonl"), BOS)


def test_what_settings_promise_and_no_reading_adds_is_refused_unless_training_had_none():
    for declared in ({}, {"add_special_tokens": True}, {"tokenizer": "file"}):
        with pytest.raises(SpecError, match=r"settings \(add_eos_token\) promise special tokens, and neither"):
            check_promises(TrainingSet("a.jsonl", **declared), "add_eos_token")
    for declared in ({"add_special_tokens": False}, {"add_special_tokens": True, "tokenizer": "auto"}):
        check_promises(TrainingSet("a.jsonl", **declared), "add_eos_token")
    check_promises(TrainingSet("a.jsonl"), "")


@pytest.fixture
def data(write_jsonl, sentences) -> TrainingSet:
    return TrainingSet(str(write_jsonl(sentences)))


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """A model whose tokenizer adds BOS."""
    copy = shutil.copytree(tiny, tmp_path / "model")
    LAYOUTS["llama-3"](copy)
    shutil.copyfile(tiny / "config.json", copy / "config.json")
    return copy


def write_card(folder: Path, trained_on: TrainingSet, **changed: object) -> None:
    origin = DataOrigin("train", training_fingerprint(trained_on), 120, 7_000)
    write_run_card(card(weights=weights_digest(folder), training_set=origin, **changed), folder)


@pytest.mark.parametrize("special", [True, False])
def test_the_run_card_of_these_weights_tells(folder, data, special):
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), data) is None
    write_card(folder, replace(data, add_special_tokens=special, tokenizer="file"))
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), replace(data, sample=10)) is special
    assert open_tokenizer(Model(str(folder)), open_checkpoint(Model(str(folder))), data).had_special_tokens is special


def test_a_card_of_other_weights_or_of_another_set_tells_nothing(folder, data, write_jsonl):
    special = replace(data, add_special_tokens=True)
    write_card(folder, special)
    write_run_card(card(training_set=DataOrigin("train", training_fingerprint(special), 1, 1)), folder)
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), data) is None
    write_card(folder, replace(special, form="blocks"))
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), data) is None
    write_card(folder, TrainingSet(str(write_jsonl(["another text"], "other.jsonl")), add_special_tokens=True))
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), data) is None


def test_a_card_that_cannot_be_read_tells_nothing(folder, data):
    (folder / "kdmem_run.json").write_text("{}")
    assert special_tokens_by_card(open_checkpoint(Model(str(folder))), data) is None


def test_readings_that_are_left_open_are_the_same_training(data):
    prints = possible_fingerprints(data)
    for declared in ({}, {"tokenizer": "file"}, {"tokenizer": "auto", "add_special_tokens": True}):
        assert training_fingerprint(replace(data, **declared)) in prints
    declared = replace(data, tokenizer="file", add_special_tokens=True)
    assert training_fingerprint(replace(declared, tokenizer=None)) in possible_fingerprints(declared)
    for other in ({"tokenizer": "auto"}, {"add_special_tokens": False}, {"eos": "never"}):
        assert training_fingerprint(replace(declared, **other)) not in possible_fingerprints(declared)
