"""A column that is not there is told by the first row of a file; what else there is, only reading tells."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.first_row import check_first_row
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str]:
    """Files of one row with a column ``body``, by ending."""
    (tmp_path / "rows.jsonl").write_text('{"body": "words"}\n{"other": 1}\n')
    pq.write_table(pa.table({"body": ["words"]}), tmp_path / "rows.parquet")
    (tmp_path / "rows.txt").write_text("words\n")
    return {path.suffix: str(path) for path in tmp_path.iterdir()}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_another_column_is_refused_and_the_right_one_is_not(rows: dict[str, str], ending: str) -> None:
    check_first_row(TrainingSet(rows[ending], text_column="body"))
    with pytest.raises(DataError, match="Column 'text' was expected in"):
        check_first_row(TrainingSet(rows[ending]))


def test_what_has_no_columns_is_not_looked_at(rows: dict[str, str]) -> None:
    for source in (rows[".txt"], "nowhere.jsonl", "s3://bucket/rows.jsonl", "someone/rows"):
        check_first_row(TrainingSet(source, text_column="body"))
