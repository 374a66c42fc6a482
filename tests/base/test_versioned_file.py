"""A versioned file is read as the value it was written from, or refused in one sentence that names file and way out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import LONGEST_REASON, VersionedFile
from pytest_kdmem.errors import DataError, SpecError


@dataclass(frozen=True)
class Note:
    text: str
    pages: int

    def __post_init__(self) -> None:
        if self.pages > 9:
            raise SpecError("pages must be at most 9.")


def decode(entries: dict[str, Any]) -> Note:
    return from_json(Note, entries)


PLAIN = VersionedFile("A note", 3, decode, "write it anew", "write one first")
KINDED = VersionedFile("A note", 3, decode, "write it anew", kind="kdmem note")
NOTE = Note("a\u00fc", 2)


def write(path: Path, file: VersionedFile[Note], **changed: object) -> None:
    path.write_text(json.dumps({**file.header, **to_json(NOTE), **changed}), encoding="utf-8")


def refusal(file: VersionedFile[Note], path: Path) -> str:
    with pytest.raises(DataError) as caught:
        file.read(path)
    sentence = str(caught.value)
    assert sentence.startswith("A note ")
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < LONGEST_REASON + len(str(path)) + 200
    return sentence


@pytest.mark.parametrize("file", [PLAIN, KINDED], ids=["plain", "with a kind"])
def test_a_file_is_read_as_it_was_written(tmp_path: Path, file: VersionedFile[Note]) -> None:
    write(tmp_path / "n.json", file)
    assert file.read(tmp_path / "n.json") == file.read_if_present(tmp_path / "n.json") == NOTE
    assert file.value({**file.header, **to_json(NOTE)}) == NOTE
    assert file.load(tmp_path / "n.json") == {**file.header, **to_json(NOTE)}


def test_the_header_comes_first_and_has_a_kind_only_where_there_is_one() -> None:
    assert list(KINDED.header.items()) == [("kind", "kdmem note"), ("schema_version", 3)]
    assert PLAIN.header == {"schema_version": 3}


def test_a_missing_file_is_refused_or_read_as_nothing(tmp_path: Path) -> None:
    assert refusal(PLAIN, tmp_path / "n.json").endswith("there is no such file; write one first.")
    assert PLAIN.read_if_present(tmp_path / "n.json") is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"pages": 1' + b"0" * 5000 + b"}"], ids=lambda b: repr(b[:9])
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.json").write_bytes(content)
    assert "no readable JSON" in refusal(PLAIN, tmp_path / "n.json")
    with pytest.raises(DataError, match="no readable JSON"):
        PLAIN.read_if_present(tmp_path / "n.json")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.json").mkdir()
    refusal(PLAIN, tmp_path / "n.json")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "n.json").write_text(content)
    assert refusal(PLAIN, tmp_path / "n.json").endswith("; found no JSON object: write it anew.")
    with pytest.raises(DataError, match="no JSON object"):
        PLAIN.read_if_present(tmp_path / "n.json")


@pytest.mark.parametrize(
    "version", [0, 4, "3", None, [[[]]] * 1000, "\x1b[2J", "a\n" * 10_000], ids=lambda version: repr(version)[:9]
)
def test_another_version_is_refused_and_both_are_named(tmp_path: Path, version: object) -> None:
    write(tmp_path / "n.json", PLAIN, schema_version=version)
    sentence = refusal(PLAIN, tmp_path / "n.json")
    assert "of schema_version 3 was expected" in sentence
    plain = version in (0, 4, "3", None)
    assert f"found {repr(version) if plain else 'a '}" in sentence


def test_an_older_version_is_refused_before_its_entries_are_decoded(tmp_path: Path) -> None:
    write(tmp_path / "n.json", PLAIN, schema_version=2, pages="many")
    assert "pages" not in refusal(PLAIN, tmp_path / "n.json")


@pytest.mark.parametrize("kind", ["kdmem letter", None, 3])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, kind: object) -> None:
    write(tmp_path / "n.json", KINDED, kind=kind, schema_version=9)
    assert "found a file of another kind: write it anew" in refusal(KINDED, tmp_path / "n.json")
    with pytest.raises(DataError, match="of another kind"):
        KINDED.load(tmp_path / "n.json")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"pages": "two"}, "pages: int was expected"),
        ({"pages": 10}, "pages must be at most 9"),
        ({"colour": 1}, "colour of Note unknown"),
        ({"\x1b[2J\n\ud800": 1}, r"a text of 6 characters of Note unknown"),
        ({"x" * 10_000: 1}, "a text of 10 000 characters of Note"),
        ({"kind": "kdmem note"}, "kind of Note unknown"),
    ],
    ids=["type", "range", "unknown", "control characters", "long", "kind"],
)
def test_a_wrong_entry_is_named_on_one_line(tmp_path: Path, changed: dict[str, object], reason: str) -> None:
    write(tmp_path / "n.json", PLAIN, **changed)
    with pytest.raises(DataError, match=reason):
        PLAIN.read(tmp_path / "n.json")
    assert "is missing, unknown or of another kind" in refusal(PLAIN, tmp_path / "n.json")


def test_content_without_a_file_is_refused_without_a_place() -> None:
    with pytest.raises(DataError, match=r"^A note of schema_version 3 was expected; found 2: write it anew\.$"):
        PLAIN.value({"schema_version": 2})
    with pytest.raises(DataError, match=r"^A note was expected; found no JSON object: write it anew\.$"):
        PLAIN.value([])
    with pytest.raises(DataError, match=r"^A note was expected, and a part of it is missing.* \(pages, text of Note"):
        PLAIN.value(PLAIN.header)


def test_an_error_that_no_content_explains_is_not_hidden() -> None:
    def broken(entries: dict[str, Any]) -> Note:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        VersionedFile("A note", 3, broken, "write it anew").value({"schema_version": 3})
