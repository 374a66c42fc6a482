"""A group is named by a short text, a whole number or a truth; nothing else is a name, and nothing else is shown."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.corpus.group_names import LONGEST_GROUP, MOST_BLANKS, WITHOUT_GROUP, group_name
from pytest_kdmem.errors import DataError


@pytest.mark.parametrize(
    ("value", "name"),
    [("MIT", "MIT"), (" MIT ", " MIT "), (7, "7"), (0, "0"), (-(1 << 63), str(-(1 << 63))), (True, "True"),
     ("x" * LONGEST_GROUP, "x" * LONGEST_GROUP), ("a" + " b" * MOST_BLANKS, "a" + " b" * MOST_BLANKS)],
)  # fmt: skip
def test_a_name_is_the_value_itself(value: Any, name: str) -> None:
    assert group_name(value, "licence", "row 1") == name


@pytest.mark.parametrize("value", [None, "", " ", "\n\t"])
def test_a_row_without_a_value_is_of_a_group_of_its_own(value: Any) -> None:
    assert group_name(value, "licence", "row 1") == WITHOUT_GROUP


@pytest.mark.parametrize(
    "value",
    ["s" * (LONGEST_GROUP + 1), "s" + " s" * (MOST_BLANKS + 1), "s\ns", "s\u202es", 1.5, float("nan"), 1 << 64, b"s",
     ["s"], {"s": 1}],
)  # fmt: skip
def test_what_is_no_name_is_refused_by_its_kind_and_place_alone(value: Any) -> None:
    with pytest.raises(DataError, match="in column 'licence'") as refused:
        group_name(value, "licence", "row 1")
    assert "row 1" in str(refused.value)
    assert repr(value) not in str(refused.value)
