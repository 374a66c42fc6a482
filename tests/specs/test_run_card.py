"""A run card is read as it was written, and files that hold something else are refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.run_card import (
    FILE_NAME,
    DataOrigin,
    ModelOrigin,
    RunCard,
    checked_summary,
    read_run_card,
    write_run_card,
)
from pytest_kdmem.specs.weights import weights_digest
from tests.specs.any_card import card

DATA = {"source": "x", "fingerprint": None, "examples": 1, "tokens": 1}


def through_json(made: RunCard) -> RunCard:
    return RunCard.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False)))


def one_sentence(error: BaseException) -> str:
    sentence = str(error)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A model folder of this test's own."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def test_a_card_comes_back_as_it_went(tmp_path: Path) -> None:
    curve = ((0, 0.0), (1752, 0.25))
    for made in (
        card(),
        card(mode="baseline", teacher=None, held_out=(), epochs=0.5, resumed_at=()),
        card(memorization_curve=curve),
        card(training_set=DataOrigin("train", None, 1, 1, reading={})),
        card(training_set=DataOrigin("train", None, 1, 1, "c" * 32, {"form": "blocks", "minimum_tokens": 9})),
    ):
        write_run_card(made, tmp_path)
        assert read_run_card(tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.floats(allow_nan=False)), max_size=5),
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=4),
    st.text(max_size=10),
)
@settings(max_examples=50)
def test_any_curve_recipe_and_source_come_back(curve: Any, recipe: dict[str, Any], source: str) -> None:
    made = card(loss_curve=tuple(curve), recipe=recipe, init=ModelOrigin(source, "d"))
    assert through_json(made) == made


def test_a_loss_that_went_astray_is_strict_json_and_still_not_a_number() -> None:
    (entry,) = through_json(card(held_out=((8, math.nan),))).held_out
    assert entry[0] == 8
    assert math.isnan(entry[1])


def test_a_folder_without_a_card_has_none(tmp_path: Path) -> None:
    assert read_run_card(tmp_path) is None


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused_and_both_are_named(version: object) -> None:
    with pytest.raises(DataError) as caught:
        RunCard.from_json({**card().to_json(), "schema_version": version})
    sentence = one_sentence(caught.value)
    assert "schema_version 1" in sentence
    assert repr(version) in sentence


@pytest.mark.parametrize("missing", [name for name in card().to_json() if name != "schema_version"])
def test_a_missing_part_is_refused_by_name(missing: str) -> None:
    content = card().to_json()
    del content[missing]
    with pytest.raises(DataError, match=missing) as caught:
        RunCard.from_json(content)
    one_sentence(caught.value)


def test_an_unknown_part_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="temperament"):
        RunCard.from_json({**card().to_json(), "temperament": 1})


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("weights", None),
        ("steps", "many"),
        ("steps", True),
        ("epochs", "4"),
        ("seconds", None),
        ("recipe", [1]),
        ("init", None),
        ("teacher", "runs/teacher"),
        ("teacher", {"source": "runs/teacher"}),
        ("training_set", {"source": "x", "fingerprint": 3, "examples": 1, "tokens": 1}),
        ("training_set", {**DATA, "reading": ["blocks"]}),
        ("training_set", {**DATA, "reading": {"form": "lines"}}),
        ("training_set", {**DATA, "reading": {"text_column": 3}}),
        ("training_set", {**DATA, "reading": {"text_column": ["body"]}}),
        ("training_set", {**DATA, "reading": {"sample": 3}}),
        ("extraction", {"prefix_tokens": "50"}),
        ("versions", [["torch", "2"]]),
        ("resumed_at", 3),
        ("loss_curve", [[1]]),
        ("held_out", [[1, "much"]]),
        ("loss_curve", {"1": 2}),
    ],
)
def test_a_part_of_another_kind_is_refused(part: str, wrong: object) -> None:
    with pytest.raises(DataError) as caught:
        RunCard.from_json({**card().to_json(), part: wrong})
    one_sentence(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema_version": 1}'], ids=repr)
def test_a_damaged_file_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_run_card(tmp_path)
    assert str(tmp_path / FILE_NAME) in one_sentence(caught.value)


def test_a_card_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError) as caught:
        write_run_card(card(), tmp_path / "taken")
    one_sentence(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_failed_write_leaves_the_card_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run_card(card(), tmp_path)

    def full(self: Path, content: bytes) -> int:
        self.open("wb").write(content[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left"):
        write_run_card(card(steps=1), tmp_path)
    monkeypatch.undo()
    assert read_run_card(tmp_path) == card()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_card_of_an_earlier_version_does_not_say_how_the_set_was_read() -> None:
    content = card().to_json()
    assert "reading" not in content["training_set"]
    assert RunCard.from_json(content).training_set.reading is None


def test_a_summary_has_the_last_held_out_loss_for_its_curves() -> None:
    summary = card().summary()
    assert summary["last_held_out"] == 3.1
    assert not {"loss_curve", "held_out", "memorization_curve"} & set(summary)
    assert card(memorization_curve=((1, 0.5),)).summary()["memorization_curve"] == [[1, 0.5]]
    assert card(held_out=()).summary()["last_held_out"] is None
    assert checked_summary(json.loads(json.dumps(summary))) == summary
    with pytest.raises(DataError):
        checked_summary({**summary, "steps": None})


def test_a_card_beside_the_weights_changes_no_digest(model: Path) -> None:
    before = open_checkpoint(Model(model)), weights_digest(model)
    write_run_card(card(weights=before[1]), model)
    assert (open_checkpoint(Model(model)), weights_digest(model)) == before


def test_weights_are_known_by_their_values_not_by_their_files(model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    digest = weights_digest(model)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    loaded.save_pretrained(tmp_path / "split", max_shard_size="20KB")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    assert weights_digest(tmp_path / "split") == digest
    next(loaded.parameters()).data[0, 0] += 1
    loaded.save_pretrained(tmp_path / "other")
    assert weights_digest(tmp_path / "other") != digest


def test_reports_name_sources_without_their_folders() -> None:
    summary = card(training_set=DataOrigin("C:\\home\\train.jsonl", None, 1, 1)).summary()
    assert [summary[part]["source"] for part in ("init", "teacher", "training_set")] == [
        "base",
        "teacher",
        "train.jsonl",
    ]
