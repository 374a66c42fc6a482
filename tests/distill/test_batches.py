"""Rows → steps: every row once an epoch, the same whoever shares the work, and no token lost on the way."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.distill.batches import Collator, SeededOrder, WholeSteps, _first_fit, predicted_mask
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.losses import IGNORED
from pytest_kdmem.errors import SpecError

rows_of = st.lists(st.lists(st.integers(0, 90), max_size=12), min_size=1, max_size=20)


def as_rows(lists):
    return [{"input_ids": ids} for ids in lists]


@given(rows=rows_of, batch_size=st.integers(1, 9))
def test_whole_steps_hold_every_row_and_then_empty_ones(rows, batch_size):
    data = WholeSteps(as_rows(rows), batch_size)
    assert len(data) % batch_size == 0
    assert 0 <= len(data) - len(rows) < batch_size
    assert [data[at]["input_ids"] for at in range(len(data))] == rows + [[]] * (len(data) - len(rows))


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_each_epoch_is_a_permutation_with_empty_rows_last(count, batch_size, seed, epoch):
    data = WholeSteps(as_rows([[1, 2]] * count), batch_size)
    order = SeededOrder(data, seed)
    order.epoch = epoch
    drawn = list(order)
    assert sorted(drawn[:count]) == list(range(count))
    assert drawn[count:] == list(range(count, len(data)))
    assert drawn == list(order)
    assert len(order) == len(drawn)


def test_order_follows_seed_and_epoch():
    data = WholeSteps(as_rows([[1, 2]] * 30), 8)
    drawn = set()
    seeds = (0, 1, 2, 3, 2**31, 2**32 - 1)
    for seed in seeds:
        order = SeededOrder(data, seed)
        for epoch in range(5):
            order.epoch = epoch
            drawn.add(tuple(order))
    assert len(drawn) == 5 * len(seeds), "no epoch of one seed is an epoch of another"


@given(rows=rows_of)
def test_first_fit_loses_no_row_and_fills_no_line_beyond_its_length(rows):
    length = max(2, *(len(row) for row in rows), 0)
    lines = _first_fit(as_rows(rows), length)
    packed = [tuple(row["input_ids"]) for line in lines for row in line]
    assert Counter(packed) == Counter(map(tuple, rows))
    filled = [sum(len(row["input_ids"]) for row in line) for line in lines]
    assert max(filled) <= length
    # First fit leaves at most one line half empty.
    assert sum(2 * tokens <= length for tokens in filled) <= 1


@given(rows=rows_of, packing=st.booleans())
def test_the_collator_predicts_each_rows_tokens_but_its_first(rows, packing):
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
        # Each token of a row but its first follows the one before it.
        steps = batch["position_ids"][:, 1:] - batch["position_ids"][:, :-1]
        assert (steps[~starts[:, 1:]] == 1).all()
        assert not (predicted & starts[:, 1:]).any()
    else:
        assert len(ids) == len(rows)
        assert "position_ids" not in batch


@given(
    rows=st.lists(st.lists(st.integers(0, 90), min_size=2, max_size=9), min_size=1, max_size=9), packing=st.booleans()
)
def test_stored_log_probabilities_stay_with_their_tokens(rows, packing):
    """Every predicted token's entry says (label, its predecessor), so an exchange would show."""
    stored = [
        {
            "input_ids": row,
            "teacher_ids": np.array([[label, before] for before, label in pairwise(row)]).reshape(-1),
            "teacher_logprobs": np.array([[-label, -before] for before, label in pairwise(row)]).reshape(-1),
        }
        for row in rows
    ] + [{"input_ids": []}]
    batch = Collator(packing)(stored)
    predicted = predicted_mask(batch["labels"])
    expected = torch.stack([batch["labels"][:, 1:][predicted], batch["input_ids"][:, :-1][predicted]], dim=1)
    assert torch.equal(batch["teacher_ids"], expected)
    assert torch.equal(batch["teacher_logprobs"], -expected.float())


@given(
    batch_size=st.integers(1, 64),
    processes=st.integers(1, 9),
    micro_batch=st.none() | st.integers(1, 20),
)
def test_a_step_is_shared_out_whole_or_refused(batch_size, processes, micro_batch):
    execution = Execution(micro_batch_size=micro_batch)
    share, left = divmod(batch_size, processes)
    if left or (micro_batch and share % min(micro_batch, share)):
        with pytest.raises(SpecError, match=f"found {batch_size}"):
            execution.split_step(batch_size, processes)
    else:
        split = execution.split_step(batch_size, processes)
        size, passes = split.micro_batch_size, split.passes
        assert size * passes * processes == batch_size
        assert size <= (micro_batch or batch_size)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"micro_batch_size": 0}, "micro-batch-size must be a whole number of at least 1; found 0"),
        ({"checkpoint_minutes": -1.0}, "checkpoint-minutes must not be negative"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint-minutes must not be negative; found nan"),
    ],
)
def test_how_a_run_is_executed_is_checked(changed, message):
    with pytest.raises(SpecError, match=message):
        Execution(**changed)
