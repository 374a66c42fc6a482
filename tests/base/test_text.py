"""Numbers and names are written so that people can read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.text import count, duration, last_part, nearest, percent, size, wrapped


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("runs/student/", "student"),
        ("org/pythia-1.4b", "pythia-1.4b"),
        ("C:\\runs\\student\\", "student"),
        ("s3://bucket/train/part-0.jsonl?region=eu", "part-0.jsonl"),
        ("what?.txt", "what?.txt"),
        ("student", "student"),
    ],
)
def test_the_last_part_of_a_source_is_its_name(source: str, name: str) -> None:
    assert last_part(source) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00%"),
        (0.5, "50.00%"),
        (1, "100.00%"),
        (0.00095, "0.10%"),
        (0.00094, "0.094%"),
        (1e-6, "0.00010%"),
        (-1e-6, "-0.00010%"),
        (math.nan, "undefined"),
        (math.inf, "infinite"),
    ],
)
def test_a_proportion_is_written_in_per_cent(value: float, text: str) -> None:
    assert percent(value) == text


@given(st.floats(1e-9, 1))
def test_a_printed_percentage_is_within_half_of_its_last_digit_and_never_zero(value: float) -> None:
    text = percent(value).rstrip("%")
    decimals = len(text.split(".")[1])
    assert float(text) > 0
    assert abs(float(text) - 100 * value) <= 0.5001 * 10**-decimals


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1000, "1 000"), (-1234567, "-1 234 567")])
def test_digits_of_a_whole_number_stand_in_groups_of_three(number: int, text: str) -> None:
    assert count(number) == text


def test_the_nearest_name_is_named_and_there_always_is_one() -> None:
    assert nearest("epoch", {"epochs", "seed"}) == "epochs"
    assert nearest("?", ["seed"]) == "seed"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "0.2 s"), (12.4, "12 s"), (150, "2 min"), (7199, "120 min"), (9000, "2.5 h")]
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(120, "0.12 kB"), (4.59e5, "459 kB"), (2e9, "2 GB"), (3e15, "3e+03 TB")])
def test_a_size_is_told_in_the_unit_that_suits_it(number: float, words: str) -> None:
    assert size(number) == words


@given(st.lists(st.text("abc-/", min_size=1, max_size=30), min_size=1), st.integers(8, 60))
def test_a_line_is_broken_between_words_alone(words: list[str], width: int) -> None:
    parts = wrapped(" ".join(words), width)
    assert " ".join(part.strip() for part in parts) == " ".join(words)
    assert all(len(part) <= width or len(part.split()) == 1 for part in parts)


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert wrapped("copies   recited", 16) == ["copies   recited"]
    assert wrapped("", 80) == [""]
