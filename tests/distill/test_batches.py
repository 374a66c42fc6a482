"""Every row occurs once per epoch, and no token is lost on the way into a batch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.distill.batches import Collator, SeededOrder, WholeSteps, _first_fit, predicted_mask
from pytest_kdmem.distill.losses import IGNORED

row_lists = st.lists(st.lists(st.integers(0, 90), max_size=12), min_size=1, max_size=20)


def as_rows(lists):
    return [{"input_ids": ids} for ids in lists]


@given(rows=row_lists, batch_size=st.integers(1, 9))
def test_whole_steps_hold_every_row_and_then_empty_rows(rows, batch_size):
    data = WholeSteps(as_rows(rows), batch_size)
    assert len(data) % batch_size == 0
    assert 0 <= len(data) - len(rows) < batch_size
    assert [data[index]["input_ids"] for index in range(len(data))] == rows + [[]] * (len(data) - len(rows))


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_each_epoch_is_a_permutation_with_empty_rows_last(count, batch_size, seed, epoch):
    data = WholeSteps(as_rows([[1, 2]] * count), batch_size)
    order = SeededOrder(data, seed)
    order.epoch = epoch
    indices = list(order)
    assert sorted(indices[:count]) == list(range(count))
    assert indices[count:] == list(range(count, len(data)))
    assert indices == list(order)
    assert len(order) == len(indices)


def test_no_epoch_of_one_seed_has_the_order_of_an_epoch_of_another():
    data = WholeSteps(as_rows([[1, 2]] * 30), 8)
    orders = set()
    seeds = (0, 1, 2, 3, 2**31, 2**32 - 1)
    for seed in seeds:
        order = SeededOrder(data, seed)
        for epoch in range(5):
            order.epoch = epoch
            orders.add(tuple(order))
    assert len(orders) == 5 * len(seeds)


@given(rows=row_lists)
def test_packing_loses_no_row_and_fills_no_line_beyond_its_length(rows):
    length = max(2, *(len(row) for row in rows), 0)
    lines = _first_fit(as_rows(rows), length)
    packed = [tuple(row["input_ids"]) for line in lines for row in line]
    assert Counter(packed) == Counter(map(tuple, rows))
    filled = [sum(len(row["input_ids"]) for row in line) for line in lines]
    assert max(filled) <= length
    # First fit leaves at most one line half empty.
    assert sum(2 * tokens <= length for tokens in filled) <= 1


@given(rows=row_lists, packing=st.booleans())
def test_every_token_of_a_row_but_its_first_is_predicted_from_the_token_before(rows, packing):
    batch = Collator(packing)(as_rows(rows))
    ids, labels = batch["input_ids"], batch["labels"]
    assert ids.shape == labels.shape
    assert ids.dtype == labels.dtype == torch.int64
    predicted = predicted_mask(labels)
    pairs = Counter(zip(ids[:, :-1][predicted].tolist(), labels[:, 1:][predicted].tolist(), strict=True))
    assert pairs == Counter(pair for row in rows for pair in pairwise(row))
    assert (labels[:, 0] == IGNORED).all()
    assert torch.equal(ids[labels != IGNORED], labels[labels != IGNORED])
    if packing:
        starts = batch["position_ids"] == 0
        # Within a row, positions grow by 1.
        differences = batch["position_ids"][:, 1:] - batch["position_ids"][:, :-1]
        assert (differences[~starts[:, 1:]] == 1).all()
        assert not (predicted & starts[:, 1:]).any()
    else:
        assert len(ids) == len(rows)
        assert "position_ids" not in batch


@given(
    rows=st.lists(st.lists(st.integers(0, 90), min_size=2, max_size=9), min_size=1, max_size=9), packing=st.booleans()
)
def test_stored_log_probabilities_stay_with_their_tokens(rows, packing):
    """The entry of each predicted token holds the token and its predecessor, so that a mix-up would show."""
    stored = [
        {
            "input_ids": row,
            "teacher_ids": np.array([[label, previous] for previous, label in pairwise(row)]).reshape(-1),
            "teacher_logprobs": np.array([[-label, -previous] for previous, label in pairwise(row)]).reshape(-1),
        }
        for row in rows
    ] + [{"input_ids": []}]
    batch = Collator(packing)(stored)
    predicted = predicted_mask(batch["labels"])
    expected = torch.stack([batch["labels"][:, 1:][predicted], batch["input_ids"][:, :-1][predicted]], dim=1)
    assert torch.equal(batch["teacher_ids"], expected)
    assert torch.equal(batch["teacher_logprobs"], -expected.float())


def test_the_prompts_of_answers_are_not_predicted_packed_or_not():
    rows = [{"input_ids": [5, 6, 7, 8], "prompt_tokens": 2}, {"input_ids": [9, 10], "prompt_tokens": 1}]
    assert Collator()(rows)["labels"].tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, 10, IGNORED, IGNORED]]
    packed = Collator(packing=True)([*rows, {"input_ids": [1, 2, 3, 4, 5, 6], "prompt_tokens": 5}])
    assert packed["labels"].tolist() == [[IGNORED] * 5 + [6], [IGNORED, IGNORED, 7, 8, IGNORED, 10]]


def test_stored_logprobs_are_of_answers_alone():
    rows = [
        {"input_ids": [5, 6, 7, 8], "prompt_tokens": 2, "teacher_ids": [1, 2, 3, 4], "teacher_logprobs": [-1.0] * 4}
    ]
    assert Collator()(rows)["teacher_ids"].tolist() == [[1, 2], [3, 4]]
