"""A trained model goes to a new or empty folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.distill.output_folder import check_output_folder
from pytest_kdmem.errors import SpecError


def test_a_folder_with_files_or_a_file_is_refused(tmp_path: Path) -> None:
    check_output_folder(tmp_path)
    check_output_folder(tmp_path / "new")
    (tmp_path / "notes.txt").write_text("mine")
    for taken in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(SpecError, match="choose another --out"):
            check_output_folder(taken)
