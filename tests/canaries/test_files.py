"""Files are copied row by row, with further rows before those of a place, and at the end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.canaries import files
from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.errors import DataError

ROWS = [{"text": f"row {number}", "id": number} for number in range(10)]
A, B, C = (Canary((), "canary", name, 1) for name in "abc")
ADDED = {0: [A], 4: [B, C], 7: [C], 10: [A, B]}


def expected() -> list[str]:
    """The texts of a copy, put together row by row."""
    texts = []
    for place in range(11):
        texts += [canary.text for canary in ADDED.get(place, ())]
        texts += [ROWS[place]["text"]] if place < 10 else []
    return texts


def write(canary: Canary, beside: dict) -> dict:
    """A row that names the one beside which it stands; the last one stands behind that."""
    return {"text": canary.text, "id": -beside["id"]}


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_lines(tmp_path: Path, ending: str) -> None:
    source, target = tmp_path / f"train{ending}", tmp_path / f"with{ending}"
    lines = "\n\n".join(map(json.dumps, ROWS)).encode()
    if ending == ".jsonl.gz":
        source.write_bytes(gzip.compress(lines))
    else:
        codec = {"compression": "zstd"} if ending.endswith("zst") else {"compression": None}
        with pa.output_stream(source, **codec) as sink:
            sink.write(lines)
    files.copy_with_json_rows(source, target, ADDED, write)
    rows = [json.loads(line) for line in files.lines_of(target)]
    assert [row["text"] for row in rows] == expected()
    assert [row["id"] for row in rows if row["id"] < 0 or "canary" in row["text"]] == [0, -4, -4, -7, -9, -9]


@pytest.mark.parametrize("at_once", [1, 3, 4, 100])
def test_batches_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(files, "ROWS_AT_ONCE", at_once)
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "train.parquet")
    files.copy_with_parquet_rows(tmp_path / "train.parquet", tmp_path / "with.parquet", ADDED, write)
    copied = pq.read_table(tmp_path / "with.parquet")
    assert copied["text"].to_pylist() == expected()
    assert copied.schema == table.schema
    for open_writer in (pa.ipc.new_file, pa.ipc.new_stream):
        with pa.OSFile(str(tmp_path / "train.arrow"), "wb") as sink, open_writer(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=at_once)
        files.copy_with_arrow_rows(tmp_path / "train.arrow", tmp_path / "with.arrow", ADDED, write)
        with files.open_arrow(tmp_path / "with.arrow") as content:
            assert content.open_writer is open_writer
            assert pa.Table.from_batches(content.batches)["text"].to_pylist() == expected()
        assert files.number_of_arrow_rows([tmp_path / "with.arrow"]) == len(expected())
        assert files.first_rows(tmp_path / "train.arrow") == ROWS[:at_once]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("\n \n")
    with pytest.raises(DataError, match="there are none"):
        files.first_rows(tmp_path / "train.jsonl")
