"""A store's file is written whole, and a folder that cannot be used is an error that names the way out."""

from __future__ import annotations

import hashlib
import re

import pytest

from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.store_files import checksum, write_file
from tests.scoring.stored_files import files_below, store_message


def test_the_checksum_is_the_beginning_of_sha256():
    assert checksum(b"scores") == hashlib.sha256(b"scores").hexdigest()[:16]


def test_a_file_is_written_with_its_folder_and_replaces_another(tmp_path):
    path = tmp_path / "scores" / "key" / "file"
    write_file(tmp_path, path, b"first")
    write_file(tmp_path, path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert files_below(tmp_path) == [path]


def test_a_file_in_the_place_of_a_folder_is_an_error_of_the_store(tmp_path):
    (tmp_path / "scores").write_text("")
    with pytest.raises(StoreError) as caught:
        write_file(tmp_path, tmp_path / "scores" / "file", b"content")
    assert re.search(r" \((File exists|Not a directory)\);", store_message(caught, tmp_path))
