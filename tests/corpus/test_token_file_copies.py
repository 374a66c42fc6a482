"""A copy of a token file holds the kept documents alone, in the same format, and an index of its own."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.filtered_copy import copy_documents
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet
from tests.corpus.megatron_files import write_order, write_pair

ROWS = [[5, 6, 7, 0], [1, 0], [9, 8, 7, 6, 0], [3, 3, 0], [2, 0]]
KEPT = np.array([True, False, True, True, False])
LEFT = [row for row, keep in zip(ROWS, KEPT, strict=True) if keep]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_of_a_flat_file_the_kept_documents_stay(tmp_path, out, dtype):
    (tmp_path / "a.bin").write_bytes(np.array([token for row in ROWS for token in row], dtype).tobytes())
    copy = copy_documents(TrainingSet(tmp_path / "a.bin", dtype=dtype, eos_id=0), out, KEPT)
    assert copy == out / "a.bin"
    assert np.fromfile(copy, dtype).tolist() == [token for row in LEFT for token in row]


@pytest.mark.parametrize("documents", [[0, 1, 2, 3, 4, 5], [0, 2, 5], [0, 1, 2, 5]])
def test_a_pair_is_written_as_one_of_the_kept_sequences_would_be(tmp_path, out, documents):
    copy = copy_documents(TrainingSet(write_pair(tmp_path / "a.bin", ROWS, documents=documents)), out, KEPT)
    assert [row.tolist() for row in read_documents(TrainingSet(copy))] == LEFT
    kept_before = [sum(KEPT[:at].tolist()) for at in documents]
    write_pair(tmp_path / "expected.bin", LEFT, documents=sorted(set(kept_before)))
    for name in ("bin", "idx"):
        assert (out / f"a.{name}").read_bytes() == (tmp_path / f"expected.{name}").read_bytes()


def test_a_pair_of_which_nothing_stays_is_empty(tmp_path, out):
    copy = copy_documents(TrainingSet(write_pair(tmp_path / "a.bin", ROWS)), out, np.zeros(5, bool))
    assert list(read_documents(TrainingSet(copy))) == []


def test_a_pair_is_copied_where_links_to_its_parts_lie(tmp_path, out):
    (tmp_path / "blobs").mkdir()
    write_pair(tmp_path / "blobs" / "0a.bin", ROWS)
    for name, blob in (("a.bin", "0a.bin"), ("a.idx", "0a.idx")):
        (tmp_path / name).symlink_to(tmp_path / "blobs" / blob)
    copy = copy_documents(TrainingSet(tmp_path / "a.bin"), out, KEPT)
    assert [row.tolist() for row in read_documents(TrainingSet(copy))] == LEFT


def test_samples_and_blocks_are_no_documents(tmp_path, out):
    path = write_pair(tmp_path / "a.bin", ROWS)
    order, _ = write_order(tmp_path, ROWS, 4)
    with pytest.raises(SpecError, match="samples of a training hold parts of several"):
        copy_documents(TrainingSet(path, order=order), out, KEPT)
    with pytest.raises(SpecError, match="blocks hold parts of several"):
        copy_documents(TrainingSet(path, form="blocks", eos="never"), out, KEPT)


def test_a_pair_that_was_changed_meanwhile_is_refused(tmp_path, out):
    with pytest.raises(DataError, match=r"4 documents were expected in .* holds 5 now"):
        copy_documents(TrainingSet(write_pair(tmp_path / "a.bin", ROWS)), out, KEPT[:4])


def test_documents_that_begin_outside_of_the_index_are_refused(tmp_path, out):
    path = write_pair(tmp_path / "a.bin", ROWS, documents=[0, 9])
    with pytest.raises(DataError, match=r"Beginnings of documents from 0 to 5 were expected in .*a\.idx; found 0 to 9"):
        copy_documents(TrainingSet(path), out, KEPT)
