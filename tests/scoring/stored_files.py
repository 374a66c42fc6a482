"""What lies in a score store, and shards and records to put there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_kdmem.corpus.shards import CorpusRecord, rows_digest
from pytest_kdmem.errors import StoreError
from pytest_kdmem.scoring.table import SCHEMA

KEY = "model-protocol-numerics"
RECORD = CorpusRecord(examples=5, too_short=2, exhaustive=False, shards=("aa", "bb"))
CONFIRMATION = {"checked": 5, "witnesses": [{"engine": "transformers", "margin": 1e-05}], "greatest_difference": None}


def digests_by_file(root: Path) -> dict[str, str]:
    """The digest of every stored file, by its path below the store."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".json"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def table(rows: int = 3, margin: float = 0.5) -> pa.Table:
    """Rows of a shard, which has the digest `rows_digest` of them."""
    entries = [
        {"example_id": row, "digest": f"{row:032x}", "status": "scored", "margin": margin} for row in range(rows)
    ]
    return pa.Table.from_pylist(entries, SCHEMA.with_metadata({"tolerance": "0.001"}))


SHARD = rows_digest(table())


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def store_message(caught: pytest.ExceptionInfo[StoreError], root: Path) -> str:
    """The message of a store that cannot be used, which is one sentence that names its folder and the way out."""
    message = str(caught.value)
    assert str(root) in message
    assert "--kdmem-cache-dir" in message
    assert message.endswith(".")
    assert "\n" not in message
    return message
