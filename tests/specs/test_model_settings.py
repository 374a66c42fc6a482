"""Settings of a configuration are of their kind, or refused in a sentence that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.model_settings import declared_dtype, first_whole_number

FOLDER = Path("runs/student")


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "half"}, "half"),
        ({"dtype": "float16", "torch_dtype": "float32"}, "float16"),
        ({"dtype": "auto"}, None),
        ({"dtype": {"": "float32"}}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_dtype_is_that_of_the_configuration(config: dict[str, object], dtype: str | None) -> None:
    assert declared_dtype(config, FOLDER) == dtype


@pytest.mark.parametrize("value", ["int8", 16, ["float32"]], ids=str)
def test_a_dtype_that_is_none_of_torchs_is_refused(value: object) -> None:
    with pytest.raises(SpecError, match=r"expected as dtype in runs/student/config\.json; found"):
        declared_dtype({"dtype": value}, FOLDER)


def test_the_first_number_that_is_there_counts() -> None:
    assert first_whole_number({"b": 3, "c": 4}, ("a", "b", "c"), FOLDER) == 3
    assert first_whole_number({"a": None}, ("a",), FOLDER) is None


@pytest.mark.parametrize("value", [True, 2.0, "2"], ids=str)
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(SpecError, match=r"A whole number was expected as a in runs/student/config\.json"):
        first_whole_number({"a": value}, ("a",), FOLDER)
