"""Batches are computed in threads, in order, and smaller when memory runs out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.batches import Batches
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_every_item_is_counted(two_threads):
    threads, done = set(), []

    def first(batch):
        threads.add(threading.current_thread())
        return batch.start, torch.get_num_threads()

    assert Batches("model", "cpu", 3, 4).run(10, first, done.append) == [(0, 1), (3, 1), (6, 1), (9, 1)]
    assert done == [3, 3, 3, 1]
    assert threading.current_thread() not in threads
    assert torch.get_num_threads() == 2
    assert Batches("model", "cpu", 3, 4).run(4, first, done.append, in_threads=False) == [(0, 2), (3, 2)]
    assert threading.current_thread() in threads


def test_memory_that_runs_out_ends_threads_first_and_halves_batches_then(two_threads):
    def needs_memory(batch):
        if threading.current_thread() is not threading.main_thread() or batch.stop - batch.start > 2:
            raise RuntimeError("can't allocate memory")
        return list(range(batch.start, batch.stop))

    batches = Batches("model", "cpu", 8, 2)
    with pytest.warns(UserWarning, match="runs out of memory on cpu with") as warned:
        rows = batches.run(11, needs_memory)
    assert len(warned) == 2
    assert [row for batch in rows for row in batch] == list(range(11))
    assert batches.size == 2
    with (
        pytest.raises(EngineError, match="runs out of memory with one example"),
        pytest.warns(match="continues with 1;"),
    ):
        batches.run(1, lambda batch: needs_memory(slice(0, 9)))


def test_an_error_in_a_thread_is_raised_and_threads_are_given_back(two_threads):
    def fails(batch):
        if batch.start == 2:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Batches("model", "cpu", 1, 2).run(8, fails)
    with pytest.raises(KeyboardInterrupt):
        Batches("model", "cpu", 1, 2).run(8, lambda batch: None, _interrupt)
    assert torch.get_num_threads() == 2


def _interrupt(done):
    raise KeyboardInterrupt


@pytest.mark.parametrize("metrics", ["all", "verdict"])
def test_threads_change_no_score_and_each_has_modules_of_its_own(metrics, tiny, two_threads, monkeypatch):
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype="auto", metrics=metrics)
    engine = TransformersEngine(model, checkpoint, numerics, batch_size=4)
    random = np.random.default_rng(0)
    rows = [Example(row, random.integers(0, engine.vocabulary, 40 + row % 5, dtype=np.int32)) for row in range(32)]
    heads = set()

    def observed(hidden, logits=engine.passes.logits):
        heads.add(engine.passes._heads.head)
        return logits(hidden)

    monkeypatch.setattr(engine.passes, "logits", observed)
    scores = engine.score(rows, Extraction(16, 24, 44), metrics, lambda done: None)
    assert 1 <= len(heads - {engine._head}) == len(heads)
    assert all(head._backbone is not engine._head._backbone for head in heads)
    assert all(head.linear.weight is engine._head.linear.weight for head in heads)
    torch.set_num_threads(1)
    alone = engine.score(rows, Extraction(16, 24, 44), metrics, lambda done: None)
    assert engine._head in heads
    for name in ("margin", "first_miss", "logprob", "nll", "entropy"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(alone, name), err_msg=name)
