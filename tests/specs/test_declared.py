"""Specs are checked where they are made, and say in one sentence what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.specs.declared import Extraction, Model, Thresholds, TrainingSet


def refusal(make: Callable[[], object]) -> str:
    """The one sentence with which a spec refuses what it was given."""
    with pytest.raises(SpecError) as caught:
        make()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("source", ["", None, 3, b"runs/student"])
@pytest.mark.parametrize("kind", [Model, TrainingSet])
def test_a_source_is_a_path_or_a_hub_id(kind: type, source: object) -> None:
    assert repr(source) in refusal(lambda: kind(source))


def test_a_path_object_is_as_good_as_its_text() -> None:
    assert Model(Path("runs/student")) == Model("runs/student")  # type: ignore[arg-type]
    assert TrainingSet(Path("data/train.jsonl")) == TrainingSet("data/train.jsonl")  # type: ignore[arg-type]


def test_an_unknown_dtype_is_refused_with_the_choices() -> None:
    sentence = refusal(lambda: Model("runs/student", dtype="float8"))  # type: ignore[arg-type]
    assert "'float8'" in sentence
    assert all(choice in sentence for choice in ("auto", "float32", "bfloat16", "float16"))


def test_an_unknown_form_is_refused_with_the_choices() -> None:
    sentence = refusal(lambda: TrainingSet("a.txt", form="chunks"))  # type: ignore[arg-type]
    assert "'chunks'" in sentence
    assert "documents" in sentence
    assert "blocks" in sentence


@pytest.mark.parametrize("sample", [0, -1, True, 1.5, math.nan, "100"])
def test_a_sample_is_a_positive_whole_number(sample: object) -> None:
    assert repr(sample) in refusal(lambda: TrainingSet("a.txt", sample=sample))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, True, 0.0, None])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    assert repr(seed) in refusal(lambda: TrainingSet("a.txt", seed=seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("minimum", [-1, True, 256.0, "256", None])
def test_a_least_length_is_a_whole_number_from_0_up(minimum: object) -> None:
    sentence = refusal(lambda: TrainingSet("a.txt", minimum_tokens=minimum))  # type: ignore[arg-type]
    assert "minimum_tokens" in sentence
    assert repr(minimum) in sentence
    assert TrainingSet("a.txt").minimum_tokens == 0


@pytest.mark.parametrize("length", ["prefix_tokens", "suffix_tokens", "window_tokens"])
@pytest.mark.parametrize("value", [0, -5, True, 50.0, "50", None])
def test_lengths_are_positive_whole_numbers_and_are_named_as_the_option_is(length: str, value: object) -> None:
    sentence = refusal(lambda: Extraction(**{length: value}))  # type: ignore[arg-type]
    assert length.replace("_", "-") in sentence
    assert repr(value) in sentence


def test_a_window_shorter_than_prefix_and_suffix_is_refused() -> None:
    assert "100" in refusal(lambda: Extraction(50, 50, 99))
    assert Extraction(50, 50, 100).scored_tokens == 100


@pytest.mark.parametrize("name", ["max_memorization_rate", "max_inheritance_ratio"])
@pytest.mark.parametrize("value", [-1e-9, 1, 1.0001, math.nan, math.inf, -math.inf, True, "0.1", None])
def test_a_highest_share_is_at_least_0_and_below_1(name: str, value: object) -> None:
    sentence = refusal(lambda: Thresholds(**{name: value}))  # type: ignore[arg-type]
    assert name.replace("_", "-") in sentence
    assert repr(value) in sentence


@pytest.mark.parametrize("value", [-0.1, 0, math.nan, -math.inf, True, "2"])
def test_a_reduction_is_a_number_above_0(value: object) -> None:
    assert "min-reduction" in refusal(lambda: Thresholds(min_reduction=value))  # type: ignore[arg-type]


def test_thresholds_keep_their_ends_and_are_floats_even_of_whole_numbers() -> None:
    limits = Thresholds(max_memorization_rate=0, max_inheritance_ratio=0.5, min_reduction=3)
    assert (limits.max_memorization_rate, limits.max_inheritance_ratio, limits.min_reduction) == (0.0, 0.5, 3.0)
    assert {type(limits.max_memorization_rate), type(limits.min_reduction)} == {float}


@pytest.mark.parametrize(
    "spec", [Model("a"), TrainingSet("a"), Extraction(), Thresholds()], ids=lambda s: type(s).__name__
)
def test_specs_are_frozen_and_hash_by_value(spec: object) -> None:
    field = next(iter(spec.__dataclass_fields__))  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError):
        setattr(spec, field, "other")
    twin = type(spec)(**{name: getattr(spec, name) for name in spec.__dataclass_fields__})  # type: ignore[attr-defined]
    assert {spec: 1}[twin] == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [("runs/student/", "student"), ("org/pythia-1.4b", "pythia-1.4b"), ("C:\\runs\\student\\", "student")],
)
def test_a_model_is_called_by_the_last_part_of_its_source(source: str, name: str) -> None:
    assert Model(source).name == name


def test_a_training_set_is_called_without_its_endings() -> None:
    assert TrainingSet("data/train.jsonl.zst").name == "train"


def test_the_digest_depends_on_every_length() -> None:
    digests = {e.digest for e in (Extraction(), Extraction(51), Extraction(50, 51), Extraction(50, 50, 255))}
    assert len(digests) == 4


def test_the_digest_of_lengths_stays_the_same_over_versions() -> None:
    assert Extraction().digest == "a978c65ff744968a111c644b1474e75d", "stored scores are looked up by it"


def test_a_spec_error_is_caught_with_all_errors_of_the_package() -> None:
    assert issubclass(SpecError, KdmemError)
