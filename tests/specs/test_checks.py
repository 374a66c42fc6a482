"""A check returns what was expected of a wrong value, and nothing for a right one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import (
    Check,
    choice,
    nonempty_text,
    number,
    on_this_machine,
    optional,
    part_of_run,
    path_ending_in,
    places_ending_in,
    require,
    source,
    truth,
    whole_number,
)

SHARE, INSIDE = number(least=0, most=1), number(above=0, below=1)
EVERY_KIND = [None, True, False, 0, 1, 1.0, -1, 0.5, math.nan, math.inf, "", "1", [], {}, b"a", Path("a.json")]

NO_ADDRESS = "a path on this machine, and not an address: copy the file here, and name the copy"


@pytest.mark.parametrize(
    ("check", "right", "wrong", "expected"),
    [
        (choice("soft", "hard"), ["soft", "hard"], "sotf", "one of soft, hard"),
        (choice(), [], "soft", "left out, because there is nothing to choose from"),
        (whole_number(1), [1, 2**80], 0, "a whole number of at least 1"),
        (whole_number(-2), [-2, 0], -3, "a whole number of at least -2"),
        (SHARE, [0, 1, 0.5, 1e-300], 1.5, "a number between 0 and 1"),
        (INSIDE, [0.5, 1e-300], 1.0, "a number above 0 and below 1"),
        (number(least=0), [0, 1e300], -0.1, "a number of at least 0"),
        (number(above=0), [1e-300, 7], 0, "a number above 0"),
        (number(most=2.5), [2.5, -1e300], 3, "a number of at most 2.5"),
        (truth, [True, False], 1, "true or false"),
        (nonempty_text, ["a"], "", "a text"),
        (source, ["runs/student", Path("a")], b"a", "a path or a hub id"),
        (path_ending_in(".json", ".md"), ["a.json", Path("b/c.md")], "a.txt", "a path ending in .json, .md"),
        (
            path_ending_in(".json"),
            ["s3.json", "c:/a.json"],
            "s3://bucket/a.json",
            NO_ADDRESS,
        ),
        (on_this_machine, ["a", Path("b/s3:/c"), ".kdmem"], Path("s3://bucket/a"), NO_ADDRESS),
        (
            places_ending_in(".json"),
            [(), ("a.json", Path("b.json")), ("s3://bucket/a.json?region=eu-west-1.x",)],
            ("a.json", "s3://bucket/b.txt?region=a.json"),
            "a path ending in .json",
        ),
        (part_of_run, ["1/1", "3/16", "16/16", "03/16"], "4/3", "of the form 3/16, the third of 16 parts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_check_returns_what_was_expected_of_a_wrong_value_and_nothing_of_right_ones(
    check: Check, right: list[Any], wrong: object, expected: str
) -> None:
    assert [check(value) for value in right] == [""] * len(right)
    assert check(wrong) == expected


@pytest.mark.parametrize("value", [True, 1.0, 0, -5, "1", None, math.nan, [1]], ids=repr)
def test_only_whole_numbers_are_whole_numbers(value: object) -> None:
    assert whole_number(1)(value) == "a whole number of at least 1"


def test_a_whole_number_may_have_a_number_of_bits() -> None:
    assert whole_number(0, bits=64)(2**64 - 1) == ""
    assert whole_number(0, bits=64)(2**64) == "below 2**64"
    assert whole_number(0, bits=64)(-1) == "a whole number of at least 0"


@pytest.mark.parametrize("value", [True, "0.5", None, math.nan, math.inf, -math.inf, [0.5]], ids=repr)
@pytest.mark.parametrize("check", [SHARE, INSIDE, number(least=-1e9), number(most=1e9)], ids=range(4))
def test_only_finite_numbers_are_numbers(check: Check, value: object) -> None:
    assert check(value).startswith("a number")


def test_infinity_is_a_number_where_it_may_be() -> None:
    check = number(least=0, finite=False)
    assert check(math.inf) == ""
    assert check(-math.inf) == check(math.nan) == "a number of at least 0"


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_limits_are_allowed_or_not_as_their_names_say(value: float) -> None:
    assert (SHARE(value) == "") == (0 <= value <= 1)
    assert (INSIDE(value) == "") == (0 < value < 1)
    assert (number(least=0)(value) == "") == (value >= 0)
    assert (number(below=-1)(value) == "") == (value < -1)


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/3", "0/3", "4/3", "-1/3", "1/3/5", "a/b", "1.0/3", "³/4", " 1/3", "1/" + "9" * 5000]
)
def test_what_is_no_part_of_a_run_is_refused(text: str) -> None:
    assert part_of_run(text) == "of the form 3/16, the third of 16 parts"


@pytest.mark.parametrize("path", ["", ".json", "json", "a.JSON", "a.json/b", "a.jsonl"])
def test_only_the_ending_of_the_last_part_counts(path: str) -> None:
    assert path_ending_in(".json")(path) == "a path ending in .json"


@pytest.mark.parametrize("check", [whole_number(1), truth, choice("a"), SHARE, nonempty_text], ids=range(5))
def test_an_optional_value_may_be_none_and_is_checked_otherwise(check: Check) -> None:
    assert check(None) != ""
    assert optional(check)(None) == ""
    for value in EVERY_KIND[1:]:
        assert optional(check)(value) == check(value)


def test_a_required_check_names_the_value_what_was_expected_and_what_was_found() -> None:
    require("seed", 3, whole_number(0))
    with pytest.raises(SpecError, match=r"^seed must be a whole number of at least 0; found '3'\.$"):
        require("seed", "3", whole_number(0))
