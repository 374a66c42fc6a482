"""Which places are addresses; what is refused of them is in `tests/corpus/test_object_store.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.base.addresses import ending, file_place, is_address
from pytest_kdmem.errors import DataError


def test_a_file_address_is_a_path_and_a_name_is_decoded() -> None:
    assert file_place("file:///a%20b/c.json") == Path("/a b/c.json")
    assert file_place("a/b.json") == Path("a/b.json")
    assert file_place(Path("a")) == Path("a")
    assert file_place("s3://bucket/a.json?region=eu-west-1") == "s3://bucket/a.json?region=eu-west-1"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://bucket/*.json", r"The address of one file was expected, without a \*; found s3://bucket/\*.json"),
        ("s3://key:secret@bucket/a.json", "without a password was expected"),
        ("https://host/a.json", r"must begin with file://, s3://"),
        ("file://host/a.json", "file:// address was expected to name a path"),
    ],
)
def test_an_address_that_names_no_file_is_refused(address: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        file_place(address)
    assert "secret" not in str(raised.value)


def test_an_ending_is_that_of_the_name() -> None:
    places = ("a.json", Path("b/c.tar.gz"), "a?b.md", "s3://b/a.html?region=x.json", "a")
    assert [ending(place) for place in places] == [".json", ".gz", ".md", ".html", ""]


def test_a_path_is_no_address() -> None:
    assert [is_address(place) for place in (Path("s3://bucket"), "s3:/bucket", "C://x", "owner/name")] == [False] * 4
