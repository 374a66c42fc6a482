"""Canaries alone are rows as the training set has them, of every format that an audit reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.canaries.manifest import Canary
from pytest_kdmem.canaries.strings import strings_alone
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

CANARIES = [Canary((7, 8, 9), "ba ce", "di", 1), Canary((9, 8, 7), "di ce", "ba", 0)]
IDS, TEXTS = [[7, 8, 9], [9, 8, 7]], ["ba ce di", "di ce ba"]


def write_source(folder: Path, kind: str) -> TrainingSet:
    path = folder / kind
    match kind:
        case "a.npy":
            np.save(path, np.ones((2, 5), np.uint16))
        case "a.bin":
            np.ones(50, "<u2").tofile(path)
            return TrainingSet(str(path), dtype="uint16", form="blocks")
        case "a.txt":
            path.write_text("one\ntwo\n")
        case "a.parquet":
            pq.write_table(pa.table({"body": ["one"], "licence": ["x"]}), path)
            return TrainingSet(str(path), text_column="body", group_column="licence", sample=1, stratify="group")
        case _:
            path.write_text(json.dumps({"input_ids": [1, 2], "labels": [1, 2]}) + "\n")
    return TrainingSet(str(path))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("a.npy", IDS), ("a.bin", IDS), ("a.txt", TEXTS), ("a.parquet", TEXTS), ("a.jsonl", IDS)],
)
def test_strings_are_rows_in_the_order_of_the_manifest(tmp_path: Path, kind: str, expected: list) -> None:
    (tmp_path / "out").mkdir()
    alone = strings_alone(CANARIES, write_source(tmp_path, kind), tmp_path / "out")
    documents = [getattr(each, "tolist", lambda each=each: each)() for each in read_documents(alone, offline=True)]
    assert documents == expected
    assert (alone.form, alone.sample, alone.group_column, alone.stratify) == ("documents", None, None, None)


def test_an_empty_set_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n")
    with pytest.raises(DataError, match="there are none"):
        strings_alone(CANARIES, TrainingSet(str(tmp_path / "a.txt")), tmp_path)
