"""Batches hold the ids of their examples and nothing of others."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.engines.transformers.padded_ids import PaddedIds

ROWS = [np.arange(1, length + 1, dtype=np.int32) for length in (2, 3, 5, 4)]


def test_a_batch_is_as_wide_as_its_longest_row_and_padded_behind_the_others():
    ids = PaddedIds(ROWS, "cpu")
    assert ids.batch(slice(0, 2)).tolist() == [[1, 2, 0], [1, 2, 3]]
    assert ids.batch(slice(2, 4)).tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 0]]
    assert ids.lengths.tolist() == [2, 3, 5, 4]


def test_a_batch_knows_where_its_suffixes_begin():
    ids = PaddedIds(ROWS, "cpu", starts=[1, 2, 4, 1])
    assert [places.tolist() for places in ids.places(slice(1, 3))] == [[3, 5], [2, 4]]
    assert PaddedIds(ROWS, "cpu").places(slice(1, 3)).starts is None
    assert PaddedIds([], "cpu").lengths.tolist() == []
