"""The columns that users read, and the lengths that are written beside an exported table."""

from __future__ import annotations

from pytest_kdmem.scoring.table import SCHEMA, encode_lengths
from pytest_kdmem.specs.declared import Extraction


def test_columns_keep_their_names_types_and_order():
    assert [f"{column.name} {column.type}" for column in SCHEMA] == [
        "example_id int64", "digest string", "status string", "memorized bool", "ambiguous bool", "margin float",
        "logprob float", "nll float", "entropy float", "first_miss int16", "zlib_bytes int32",
    ]  # fmt: skip


def test_lengths_are_written_as_earlier_versions_wrote_them():
    assert encode_lengths(Extraction(50, 40, 256)) == b"50, 40, 256"
