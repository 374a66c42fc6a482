"""An entry is read as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.entries import Entries
from tests.scoring.stored_files import CONFIRMATION, files_below, store_message


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    return Entries(tmp_path)


def test_an_entry_is_read_as_it_was_written(entries: Entries) -> None:
    entries.write("confirmations", "k", CONFIRMATION)
    assert entries.read("confirmations", "k") == CONFIRMATION


def test_every_entry_that_is_cut_short_is_absent(entries: Entries, tmp_path: Path) -> None:
    entries.write("confirmations", "k", CONFIRMATION)
    [path] = files_below(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert entries.read("confirmations", "k") is None
    path.write_bytes(whole)
    assert entries.read("confirmations", "k") == CONFIRMATION


@pytest.mark.parametrize("change", [{"checked": 6}, {"format": 2}, {"witnesses": []}, {"more": 1}], ids=repr)
def test_an_entry_that_was_altered_is_absent(entries: Entries, tmp_path: Path, change: dict[str, Any]) -> None:
    entries.write("confirmations", "k", CONFIRMATION)
    [path] = files_below(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert entries.read("confirmations", "k") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"format": 1}', "\x00", "[" * 100_000])
def test_a_file_that_is_no_entry_is_absent(entries: Entries, tmp_path: Path, content: str) -> None:
    entries.write("corpora", "k", CONFIRMATION)
    files_below(tmp_path)[0].write_text(content)
    assert entries.read("corpora", "k") is None


def test_entries_of_two_kinds_under_one_key_are_kept_apart(entries: Entries) -> None:
    entries.write("corpora", "k", {"examples": 5})
    assert entries.read("confirmations", "k") is None
    entries.write("confirmations", "k", CONFIRMATION)
    assert entries.read("corpora", "k") == {"examples": 5}


def test_an_entry_under_the_name_of_another_is_absent(entries: Entries, tmp_path: Path) -> None:
    entries.write("confirmations", "k", CONFIRMATION)
    [path] = files_below(tmp_path)
    path.rename(path.with_name("other.json"))
    assert entries.read("confirmations", "other") is None


def test_keys_are_listed_in_order(entries: Entries) -> None:
    for key in ("b", "a", "c"):
        entries.write("predictors", key, {})
    assert list(entries.keys("predictors")) == ["a", "b", "c"]
    assert list(entries.keys("corpora")) == []


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_store(entries: Entries, tmp_path: Path) -> None:
    (tmp_path / "readings").write_text("")
    with pytest.raises(StoreError) as caught:
        entries.write("readings", "k", {})
    store_message(caught, tmp_path)
