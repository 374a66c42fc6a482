"""Every format that is read on this machine is copied, and what is none of them is known before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.copiers import ENDINGS, FOLDER, copier_of, ending_of
from pytest_kdmem.corpus.sources import ENDINGS as READ
from pytest_kdmem.specs.declared import TrainingSet


def test_canaries_go_into_every_format_that_is_read() -> None:
    assert set(ENDINGS) == set(READ)


@pytest.mark.parametrize("name", ENDINGS)
def test_files_are_known_by_their_ending(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"train{name}"
    assert ending_of(path) is None
    path.write_text("")
    assert ending_of(path) == name


def test_a_folder_is_known_by_what_datasets_writes_into_it(tmp_path: Path) -> None:
    assert ending_of(tmp_path) is None
    (tmp_path / "state.json").write_text("{}")
    assert ending_of(tmp_path) == FOLDER


def test_places_are_the_rows_or_the_documents_that_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert copier_of(TrainingSet(str(tmp_path / "a.txt")), tmp_path / "a.txt", None, 8).places == 2
    path = tmp_path / "a.bin"
    for ids, places in (([5, 2, 5, 2], 2), ([5, 2, 5, 2, 5], 2), ([5, 5, 5, 5, 5], 2)):
        np.array(ids, "<u2").tofile(path)
        stream = TrainingSet(str(path), dtype="uint16", form="blocks")
        assert copier_of(stream, path, 2, 4).places == places
