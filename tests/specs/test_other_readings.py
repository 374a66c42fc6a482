"""The names of other readings are separated by commas, and each says what to declare."""

from __future__ import annotations

import pytest

from pytest_kdmem.specs.other_readings import READINGS, accepted_readings, split_names


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_is_accepted_by_its_name_and_has_a_way_out(reading: str) -> None:
    assert accepted_readings(reading) == accepted_readings(f"{reading}, bos-first") == ""
    words, way_out = READINGS[reading]
    assert words.startswith(("with", "as ", "in blocks"))
    assert way_out.startswith(("declare ", "give ", "drop "))


@pytest.mark.parametrize("names", ["bos", "bos-first,bos", "", ",", 3])
def test_a_name_that_is_no_reading_is_refused(names: object) -> None:
    assert "one of with-special-tokens" in accepted_readings(names)


def test_names_are_split_at_commas() -> None:
    assert split_names(" bos-first ,documents,, ") == ("bos-first", "documents")
    assert split_names(None) == split_names("") == ()
