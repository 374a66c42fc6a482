"""Stored rows come back in their order, and only missing shards are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.stored_rows import TOKEN_IDS, RowStore, count_tokens

CPU = torch.device("cpu")
ALONE = ProcessGroup(0, 1, CPU)


def lists(rows):
    return [row["input_ids"].tolist() for row in rows]


def as_rows(items):
    return ({"input_ids": np.array([item] * 2)} for item in items)


def test_rows_come_back_in_the_order_of_the_source(tmp_path):
    store = RowStore(tmp_path / "rows", ALONE, rows_per_shard=3)
    store.add_missing(range(8), as_rows, TOKEN_IDS)
    assert lists(store.rows()) == [[item, item] for item in range(8)]
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [
        "000000.arrow",
        "000001.arrow",
        "000002.arrow",
        "shards",
    ]


def test_only_missing_shards_are_made(tmp_path):
    store = RowStore(tmp_path, ALONE, rows_per_shard=3)
    assert not store.is_complete()
    store.add_missing(range(8), as_rows, TOKEN_IDS)
    assert store.is_complete()
    (tmp_path / "000001.arrow").unlink()
    assert not store.is_complete()
    made = []
    store.add_missing(range(8), lambda items: made.extend(items) or as_rows(items), TOKEN_IDS)
    assert made == [3, 4, 5]
    assert lists(store.rows()) == [[item, item] for item in range(8)]


def test_processes_share_the_shards(tmp_path):
    """Each writes its own, and together they write what one process writes alone."""
    second = RowStore(tmp_path, ProcessGroup(1, 2, CPU), rows_per_shard=3)
    second.add_missing(range(10), as_rows, TOKEN_IDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.arrow", "000003.arrow"]
    assert not second.is_complete()
    first = RowStore(tmp_path, ProcessGroup(0, 2, CPU), rows_per_shard=3)
    first.add_missing(range(10), as_rows, TOKEN_IDS)
    assert lists(first.rows()) == lists(second.rows()) == [[item, item] for item in range(10)]
    assert not list(tmp_path.glob(".*"))


def test_an_error_while_a_shard_is_made_leaves_none_of_it(tmp_path):
    def fail(items):
        yield from as_rows(items[:1])
        raise ZeroDivisionError

    store = RowStore(tmp_path, ALONE)
    with pytest.raises(ZeroDivisionError):
        store.add_missing(range(3), fail, TOKEN_IDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [as_rows, lambda items: iter(())], ids=["no items", "no rows"])
def test_a_store_may_be_empty(tmp_path, make):
    store = RowStore(tmp_path, ALONE)
    store.add_missing([] if make is as_rows else range(3), make, TOKEN_IDS)
    assert store.is_complete()
    assert len(store.rows()) == 0


def test_tokens_are_counted_without_the_teachers_ids():
    rows = Dataset.from_dict({"input_ids": [[1, 2], [3]], "teacher_ids": [[0] * 9, [0]]}).with_format("numpy")
    assert count_tokens(rows) == 3
