"""Documents and canaries of token files stand apart: in arrays, pairs and streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.token_files import copy_with_array_rows, copy_with_sequences, open_stream
from pytest_kdmem.corpus.megatron import open_pair, read_pair
from pytest_kdmem.corpus.token_file_copies import write_index
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

A, B = Canary((7, 8), "", "", 1), Canary((9, 9), "", "", 1)


def test_array_rows_end_as_the_row_at_their_place(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "a.npy", rows)
    copy_with_array_rows(tmp_path / "a.npy", tmp_path / "b.npy", {1: [A], 3: [B]})
    expected = [rows[0].tolist(), [7, 8, 6, 7], rows[1].tolist(), rows[2].tolist(), [9, 9, 2, 3]]
    assert np.load(tmp_path / "b.npy").tolist() == expected
    with pytest.raises(DataError, match="make shorter canaries"):
        copy_with_array_rows(tmp_path / "a.npy", tmp_path / "b.npy", {0: [Canary((1,) * 5, "", "", 1)]})


def test_a_canary_inside_of_a_document_of_several_sequences_stands_before_it(tmp_path: Path) -> None:
    sequences = [[1, 0], [2, 2, 0], [3, 0], [4, 0]]
    np.concatenate(sequences).astype("<i4").tofile(tmp_path / "a.bin")
    write_index(tmp_path / "a.idx", np.dtype("<i4"), np.array([2, 3, 2, 2]), np.array([0, 1, 3, 4]))
    copy_with_sequences(tmp_path / "a.bin", tmp_path / "b.bin", {2: [A], 4: [B]})
    copied = [ids.tolist() for ids in read_pair(tmp_path / "b.bin")]
    assert copied == [[1, 0], [7, 8, 0], [2, 2, 0], [3, 0], [4, 0], [9, 9, 0]]
    with open_pair(tmp_path / "b.bin") as pair:
        assert pair.documents.read(0, pair.header.documents).tolist() == [0, 1, 2, 4, 5, 6]


def test_a_stream_has_its_ends_behind_canaries_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    np.array([1, 2, 5, 3, 5, 4], "<u2").tofile(path)
    data = TrainingSet(str(path), dtype="uint16", form="blocks")
    open_stream(path, data, 5, 4).copy(tmp_path / "b.bin", {1: [A], 2: [B]})
    assert np.fromfile(tmp_path / "b.bin", "<u2").tolist() == [1, 2, 5, 7, 8, 5, 3, 5, 9, 9, 5, 4]
    # Without a known end they stand between windows.
    open_stream(path, data, None, 4).copy(tmp_path / "b.bin", {1: [A]})
    assert np.fromfile(tmp_path / "b.bin", "<u2").tolist() == [1, 2, 5, 3, 7, 8, 5, 4]
    with pytest.raises(SpecError, match="type of the token ids"):
        open_stream(path, TrainingSet(str(path), form="blocks"), 5, 4)
