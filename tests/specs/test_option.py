"""One setting has a name in each place where it can be given, and takes any value unless it has a check."""

from __future__ import annotations

import pytest

from pytest_kdmem.specs.option import Option

WINDOW = Option("window-tokens", "count", "Number of tokens after which examples are cut off.")


def test_the_name_is_spelled_as_each_place_spells_names() -> None:
    assert (WINDOW.flag, WINDOW.key, WINDOW.variable) == (
        "--kdmem-window-tokens",
        "window_tokens",
        "KDMEM_WINDOW_TOKENS",
    )


@pytest.mark.parametrize("value", [None, 3, "x", ()])
def test_without_a_check_every_value_is_taken(value: object) -> None:
    assert WINDOW.check(value) == ""
