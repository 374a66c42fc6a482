"""The columns that users read, and what is written beside them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.engines.protocol import Scores, Screening
from pytest_kdmem.scoring.table import (
    KL_SCHEMA,
    SCHEMA,
    encode_lengths,
    join_rows,
    score_metadata,
    screening_of,
    tolerance_of,
)
from pytest_kdmem.specs.declared import Extraction


def shard_of(tolerance: float, screening: Screening | None = None) -> pa.Table:
    """An empty shard of scores with this tolerance."""
    empty = np.empty(0, np.float32)
    scores = Scores(empty, np.empty(0, np.int16), empty, empty, empty, tolerance, screening)
    return SCHEMA.with_metadata(score_metadata(scores)).empty_table()


def test_columns_keep_their_names_types_and_order():
    assert [f"{column.name} {column.type}" for column in SCHEMA] == [
        "example_id int64", "digest string", "status string", "memorized bool", "ambiguous bool", "margin float",
        "logprob float", "nll float", "entropy float", "first_miss int16", "zlib_bytes int32",
    ]  # fmt: skip


def test_lengths_are_written_as_earlier_versions_wrote_them():
    assert encode_lengths(Extraction(50, 40, 256)) == b"50, 40, 256"


@pytest.mark.parametrize("tolerances", [(0.25, 1e-05, 0.125), (1e-05, 0.25), (0.25,)])
def test_a_run_has_the_widest_tolerance_of_its_shards(tolerances):
    assert tolerance_of(map(shard_of, tolerances)) == 0.25


def test_a_run_has_the_counts_of_all_its_shards_that_were_screened():
    screened = [Screening(10, 3, 1, 0.5, 0), Screening(20, 4, 0, 0.25, 2)]
    shards = [shard_of(0.1, screened[0]), shard_of(0.1), shard_of(0.1, screened[1])]
    assert screening_of(shards) == Screening(30, 7, 1, 0.5, 2)
    assert screening_of(shards[1:2]) is None


def test_shards_that_were_not_screened_say_nothing_of_it():
    assert set(shard_of(0.1).schema.metadata) == {b"tolerance"}


def test_joined_shards_say_what_they_say_of_all():
    screened = Screening(10, 3, 1, 0.5, 0)
    joined = join_rows([shard_of(0.125, screened), shard_of(0.25), shard_of(0.1, screened)])
    assert tolerance_of([joined]) == 0.25
    assert screening_of([joined]) == screened + screened
    assert set(join_rows([shard_of(0.1)]).schema.metadata) == {b"tolerance"}


def test_joined_divergences_say_nothing_of_a_tolerance():
    rows = [pa.table({"example_id": [at], "digest": ["a"], "kl": [0.5]}, schema=KL_SCHEMA) for at in (4, 2, 3)]
    joined = join_rows(rows)
    assert not joined.schema.metadata
    assert joined["example_id"].to_pylist() == [4, 2, 3]
    assert joined["example_id"].num_chunks == 1
