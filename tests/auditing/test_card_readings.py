"""A set that is read otherwise than by its training is told by name, also where its content is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.card_readings import other_settings, reading_of
from pytest_kdmem.auditing.provenance import card_mismatches
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.run_card import ChatTraining, DataOrigin
from tests.specs.any_card import card

TRAINED: dict[str, Any] = {"text_column": "body", "form": "blocks", "eos": "once"}


@pytest.fixture
def training_set(tmp_path: Path) -> TrainingSet:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "of one column", "body": "of another"}\n')
    return TrainingSet(path)


def origin(read: TrainingSet, **changed: Any) -> DataOrigin:
    """What a training that reads a set writes of it into its run card."""
    return replace(DataOrigin(read.name, training_fingerprint(read), 1, 1, reading=read.reading), **changed)


def sentences(trained_on: DataOrigin, audited: TrainingSet) -> list[str]:
    mismatches = card_mismatches(card(training_set=trained_on), "it", "student", None, audited, Extraction())
    assert {mismatch.kind for mismatch in mismatches} <= {"training-set"}
    return [mismatch.sentence for mismatch in mismatches]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("name", TRAINED)
def test_another_column_form_or_eos_than_that_of_training_is_told_with_what_to_declare(
    training_set: TrainingSet, name: str, is_known: bool
) -> None:
    trained = replace(training_set, **TRAINED)
    trained_on = origin(trained) if is_known else origin(trained, fingerprint=None)
    assert sentences(trained_on, trained) == []
    default = "always" if name == "eos" else getattr(training_set, name)
    [sentence] = sentences(trained_on, replace(trained, **{name: default}))
    shown = f'"{default}"' if default is not None else "None"
    assert f'reads it by {name}={shown}, where training had {name}="{TRAINED[name]}"' in sentence


def test_all_settings_that_differ_are_told_at_once(training_set: TrainingSet) -> None:
    [sentence] = sentences(origin(replace(training_set, **TRAINED)), replace(training_set, eos="never"))
    assert 'eos="once", form="blocks", text_column="body" (declare that' in sentence


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    ("form", "trained", "audited", "is_same"),
    [
        ("blocks", "once", None, True), ("blocks", "always", None, True), ("blocks", "never", None, False),
        # Nothing is checked of what another trainer read by no declared rule.
        ("blocks", None, "once", False), ("blocks", None, "always", False), ("blocks", "once", "always", False),
        ("documents", "once", None, True), ("documents", None, "once", True), ("documents", "always", None, False),
    ],
)  # fmt: skip
def test_an_undeclared_end_of_documents_is_no_difference_where_every_reading_that_is_not_refused_is_the_same(
    training_set: TrainingSet, form: Any, trained: Any, audited: Any, is_same: bool, is_known: bool
) -> None:
    read, declared = (replace(training_set, form=form, eos=end) for end in (trained, audited))
    trained_on = origin(read) if is_known else origin(read, fingerprint=None)
    assert (sentences(trained_on, declared) == []) == is_same


def test_other_content_is_told_as_such_however_it_is_read(training_set: TrainingSet) -> None:
    [sentence] = sentences(origin(replace(training_set, **TRAINED), fingerprint="f" * 32), training_set)
    assert sentence.endswith("training set has other content, or is read in another way")


def test_a_card_that_does_not_say_how_training_read_leaves_it_at_names(training_set: TrainingSet) -> None:
    unknown = origin(replace(training_set, **TRAINED), fingerprint=None, reading=None)
    assert sentences(unknown, training_set) == []
    assert other_settings(unknown, training_set) == {}


def test_a_cleaned_copy_is_told_to_be_read_otherwise(training_set: TrainingSet) -> None:
    trained = replace(training_set, **TRAINED)
    cleaned = origin(trained, fingerprint="c" * 32, cleaned_from=training_fingerprint(trained))
    assert sentences(cleaned, trained) == []
    [sentence] = sentences(cleaned, training_set)
    assert "where training had" in sentence


@pytest.mark.parametrize(
    ("trained", "audited", "names"),
    [
        ({"group_column": "licence"}, {}, []),
        ({"chat_roles": "all"}, {}, []),
        ({"tokenizer": "file"}, {}, []),
        ({}, {"tokenizer": "file"}, []),
        ({"tokenizer": "file"}, {"tokenizer": "auto"}, ["tokenizer"]),
        ({"add_special_tokens": True}, {}, []),
        ({"add_special_tokens": True}, {"add_special_tokens": False}, ["add_special_tokens"]),
        ({}, {"add_special_tokens": False}, []),
        ({}, {"add_special_tokens": True}, ["add_special_tokens"]),
        ({"minimum_tokens": 9, "chat_turns": 1}, {"chat_turns": 2}, ["chat_turns", "minimum_tokens"]),
        ({"sample": 3, "seed": 5}, {"sample": 2}, []),
    ],
)
def test_what_leaves_the_examples_as_they_are_is_no_difference(
    training_set: TrainingSet, trained: dict[str, Any], audited: dict[str, Any], names: list[str]
) -> None:
    differing = other_settings(origin(replace(training_set, **trained)), replace(training_set, **audited))
    assert differing == {name: trained.get(name) for name in names}


def test_text_in_place_of_a_column_is_told_by_its_length(training_set: TrainingSet) -> None:
    text = "a text of the training set that stands where the name of a column belongs"
    [sentence] = sentences(origin(replace(training_set, text_column=text), fingerprint=None), training_set)
    assert text not in sentence
    assert f"a text of {len(text)} characters" in sentence


def test_a_training_that_learned_all_turns_is_read_with_all_of_them() -> None:
    """Also where the card of another trainer tells it by its loss alone."""
    chat = ChatTraining("t" * 32, "the tokenizer", "all")
    trained_on = DataOrigin("chat", None, 1, 0, reading={"chat_columns": "messages"})
    assert reading_of(card(training_set=trained_on, chat=chat)) == {"chat_columns": "messages", "chat_roles": "all"}
    assert reading_of(card(training_set=trained_on)) == {"chat_columns": "messages"}
    assert reading_of(card()) == {}
