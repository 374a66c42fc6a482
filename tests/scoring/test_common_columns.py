"""Tables of several models over the same examples hold what is the same in them once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pytest_kdmem.scoring.common_columns import CommonColumns
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.stored_parts import StoredParts
from pytest_kdmem.scoring.table import SCHEMA
from tests.scoring.stored_files import SHARD, table

KEYS = ("teacher-b-c", "student-b-c")


def address(rows: pa.Table, column: str) -> int:
    """Where the column's values lie in memory."""
    return rows[column].chunk(0).buffers()[-1].address


def test_models_that_are_read_from_a_store_share_the_columns_of_their_examples(tmp_path) -> None:
    store = ScoreStore(tmp_path)
    for key, margin in zip(KEYS, (0.5, -0.5), strict=True):
        store.write_shard(key, SHARD, table(margin=margin))
    tables = [StoredParts(store, ((key,),), (SCHEMA,)).read_all([SHARD]) for key in KEYS]
    [[teacher]], [[student]] = (pieces for pieces in tables if pieces is not None)
    assert teacher.equals(table(margin=0.5))
    assert student.equals(table(margin=-0.5))
    for column in ("example_id", "digest", "status"):
        assert address(teacher, column) == address(student, column)
    assert address(teacher, "margin") != address(student, "margin")


def test_a_column_that_differs_is_kept_as_it_is() -> None:
    common, sizes = CommonColumns(), [np.array([1, 2, 3], np.int32), np.array([1, 2, 4], np.int32)]
    tables = [pa.table({"example_id": [0, 1, 2], "zlib_bytes": values}) for values in sizes]
    first, second = (common.share(("shard",), rows) for rows in tables)
    assert (first["zlib_bytes"].to_pylist(), second["zlib_bytes"].to_pylist()) == ([1, 2, 3], [1, 2, 4])
    assert address(first, "example_id") == address(second, "example_id")


def test_a_table_without_some_of_the_columns_has_none_more_afterwards() -> None:
    common = CommonColumns()
    common.share(("shard",), pa.table({"example_id": [0, 1], "digest": ["a", "b"], "status": ["scored", "scored"]}))
    assert common.share(("shard",), pa.table({"example_id": [0, 1], "kl": [0.5, 1.0]})).column_names == [
        "example_id",
        "kl",
    ]
