"""Stored log-probabilities are the teacher's largest, and the teacher is loaded only to make missing ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.stored_rows import RowStore
from pytest_kdmem.distill.top_k import add_top_k_logprobs

RECIPE = Recipe(teacher_top_k=8, temperature=2.0, precision="float32")


@pytest.fixture
def store(tmp_path) -> RowStore:
    return RowStore(tmp_path, ProcessGroup(0, 1, torch.device("cpu")))


@pytest.fixture
def examples(unequal_rows) -> Dataset:
    return Dataset.from_dict({"input_ids": unequal_rows}).with_format("numpy")


def test_the_k_largest_log_probabilities_of_each_token_are_stored(toy, unequal_rows, examples, store):
    """Over the first 50 of the teacher's 61 ids, at the temperature of the recipe."""
    model = toy("qwen3", seed=2)
    rows = add_top_k_logprobs(lambda: model, examples, RECIPE, 50, store)
    assert [row["input_ids"].tolist() for row in rows] == unequal_rows
    for row, ids in zip(rows, unequal_rows, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1, :50]
        logprobs, top_ids = (logits / 2.0).log_softmax(dim=-1).topk(8, dim=-1)
        np.testing.assert_allclose(row["teacher_logprobs"], logprobs.reshape(-1), atol=1e-4)
        assert (row["teacher_ids"] == top_ids.reshape(-1).numpy()).mean() > 0.95  # ties may be in another order


def test_k_is_at_most_the_vocabulary(toy, examples, store):
    rows = add_top_k_logprobs(lambda: toy("neox"), examples, Recipe(teacher_top_k=100), 61, store)
    assert [len(row["teacher_ids"]) for row in rows] == [61 * (len(row["input_ids"]) - 1) for row in rows]


def test_stored_rows_are_reused_without_the_teacher(toy, examples, store):
    first = add_top_k_logprobs(lambda: toy("neox"), examples, RECIPE, 61, store)
    again = add_top_k_logprobs(lambda: pytest.fail("the teacher was loaded again"), examples, RECIPE, 61, store)
    assert [row["teacher_ids"].tolist() for row in first] == [row["teacher_ids"].tolist() for row in again]
