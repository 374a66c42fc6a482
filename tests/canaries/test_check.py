"""Copies are counted as a plain search of every example counts them, whatever stands around them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.manifest import Canary, Manifest
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

LENGTHS = Extraction(4, 8, 40)
DRAW = np.random.default_rng(0)
# Few tokens, so that many strings begin alike.
STRINGS = [tuple(DRAW.integers(1, 7, 12).tolist()) for _ in range(40)]
MANIFEST = Manifest(
    "tokenizer", 4, 8, 0, 6, tuple(Canary(ids, "", "", copies=1 if at < 30 else 0) for at, ids in enumerate(STRINGS))
)


def plain_count(rows: np.ndarray) -> list[int]:
    """Rows that hold each string but for its first token, which depends on what stands before it."""
    return [
        sum(any(row[at : at + 11] == list(ids[1:]) for at in range(len(row) - 10)) for row in rows.tolist())
        for ids in STRINGS
    ]


def write_rows(path: Path) -> np.ndarray:
    """Rows of noise of the same tokens, many of which hold strings, whole, twice, or but for their last token."""
    rows = DRAW.integers(1, 7, (60, 40))
    for number, row in enumerate(rows):
        ids = STRINGS[number % 25]
        match number % 4:
            case 0:
                row[number % 28 : number % 28 + 12] = ids
            case 1:
                row[:12] = row[20:32] = ids
            case 2:
                row[-11:] = ids[:-1]
    np.save(path, rows)
    return rows


def test_copies_are_those_of_a_plain_search(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.npy")
    copies = count_copies(MANIFEST, TrainingSet(str(tmp_path / "rows.npy")), None, LENGTHS)
    assert copies.tolist() == plain_count(rows)
    assert copies.sum() > 20


def test_what_lies_beyond_the_window_is_not_learned(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.npy")
    copies = count_copies(MANIFEST, TrainingSet(str(tmp_path / "rows.npy")), None, Extraction(4, 8, 24))
    assert copies.tolist() == plain_count(rows[:, :24])


@pytest.mark.parametrize(
    ("canaries", "twins", "message"),
    [(1, 0, ""), (2, 0, ""), (0, 0, "30 of 30 are whole in fewer"), (1, 1, "10 are in it")],
)
def test_each_canary_as_often_as_registered_and_no_twin(canaries: int, twins: int, message: str) -> None:
    copies = np.array([canaries] * 30 + [twins] * 10)
    if not message:
        return check_copies(MANIFEST, copies, "train.jsonl")
    with pytest.raises(DataError, match=message) as error:
        check_copies(MANIFEST, copies, "train.jsonl")
    assert not [ids for ids in itertools.islice(STRINGS, 40) if " ".join(map(str, ids[:4])) in str(error.value)]
    return None
