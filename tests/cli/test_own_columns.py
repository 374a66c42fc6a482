"""The columns of sets beside the training set: those of the training set, the default ones, or the only text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kdmem.cli.starter.own_columns import own_columns


@pytest.mark.parametrize(
    ("row", "settings", "columns"),
    [
        ({"body": "a", "text": "b"}, {"text_column": "body"}, ""),
        ({"text": "b", "other": "c"}, {}, ""),
        ({"id": 1, "other": "c"}, {"text_column": "other"}, ""),
        ({"prompt": "b", "completion": "c"}, {}, ""),
        ({"a": "b", "c": "d"}, {"text_column": "body"}, "a, c"),
    ],
)
def test_a_set_is_declared_by_the_columns_that_it_has(
    tmp_path: Path, row: dict[str, object], settings: dict[str, str], columns: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    own = own_columns(str(path), {"text_column": "body", "form": "blocks"})
    assert own.settings == settings
    assert own.columns.replace("'", "") == columns


def test_a_set_that_cannot_be_looked_at_has_those_of_the_training_set() -> None:
    assert own_columns("s3://bucket/x.jsonl", {"text_column": "body", "eos": "never"}) == ({"text_column": "body"}, "")
