"""The cascade against margins by their definition, with an engine whose logits are a function of the test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.engines.vllm.cascade import BrokenLogits, cascade
from pytest_kdmem.engines.vllm.runner import RequestRunner
from tests.engines.vllm.scripted_engine import VOCABULARY, ScriptedEngine, sampling

PREFIX = 2
TOLERANCE = 0.25


def margins_by_definition(logits, row):
    """Margin of each suffix token: its logit minus the best other."""
    margins = []
    for position in range(PREFIX, len(row)):
        by_token, target = logits(list(row[:position])), row[position]
        best_other = max(logit for token, logit in enumerate(by_token) if token != target)
        margins.append(by_token[target] - best_other)
    return margins


def run(engine, ids, at_once=3):
    counts = []
    runner = RequestRunner(engine, list, at_once)
    margin, first_miss = cascade(runner, sampling, ids, PREFIX, TOLERANCE, counts.append)
    assert sum(counts) == len(ids)
    return margin, first_miss


# Steps of an eighth, so that ties and near misses are common and sums are exact.
@given(
    table=st.lists(
        st.lists(st.integers(-4, 4), min_size=VOCABULARY, max_size=VOCABULARY), min_size=VOCABULARY, max_size=VOCABULARY
    ),
    rows=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=6, max_size=6), min_size=1, max_size=12),
    late=st.booleans(),
    last=st.booleans(),
)
def test_verdicts_are_those_of_the_definition_ties_and_near_misses_too(table, rows, late, last):
    def logits(ids):
        return [eighths / 8 for eighths in table[ids[-1]]]

    ids = np.array(rows, dtype=np.int32)
    engine = ScriptedEngine(logits, late, last)
    margin, first_miss = run(engine, ids)
    for row, least, miss in zip(rows, margin, first_miss, strict=True):
        margins = margins_by_definition(logits, row)
        assert miss == next((position for position, value in enumerate(margins) if value < 0), -1)
        if min(margins) >= -TOLERANCE:
            assert least == min(margins), "whatever is memorized or ambiguous has its exact margin"
        else:
            assert math.isnan(least) or least == min(margins)
    assert not engine.live
    assert engine.most <= 3


def test_an_example_costs_only_the_tokens_it_survives():
    ids = np.array([[0, 0, 1, 1, 1, 1], [0, 0, 2, 1, 1, 1], [0, 0, 1, 1, 2, 1]], dtype=np.int32)
    engine = ScriptedEngine(lambda ids: [0.0, 9.0, 0.0, 0.0, 0.0])
    margin, first_miss = run(engine, ids)
    assert first_miss.tolist() == [-1, 0, 2]
    assert margin[0] == 9
    assert np.isnan(margin[1:]).all()
    assert engine.decoded == 4 + 1 + 3


def test_a_near_miss_that_becomes_a_sure_one_is_a_miss_from_the_near_one_on():
    def logits(ids):
        return [0.0, 0.0, 0.125, 0.0, 0.0] if len(ids) == PREFIX else [0.0, 9.0, 0.0, 0.0, 0.0]

    margin, first_miss = run(ScriptedEngine(logits), np.array([[0, 0, 1, 1, 2, 1], [0, 0, 1, 1, 1, 1]], dtype=np.int32))
    assert first_miss.tolist() == [0, 0]
    assert margin.tolist() == [-9, -0.125]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_broken_logits_name_their_row_and_leave_the_engine_empty(bad):
    def logits(ids):
        return [bad] * VOCABULARY if ids[0] == 3 else [0.0, 9.0, 0.0, 0.0, 0.0]

    ids = np.array([[0, 0, 1, 1, 1, 1], [3, 0, 1, 1, 1, 1]], dtype=np.int32)
    engine = ScriptedEngine(logits)
    with pytest.raises(BrokenLogits) as broken:
        run(engine, ids)
    assert broken.value.row == 1
    assert not engine.live


def test_a_request_that_the_engine_drops_is_no_verdict():
    class Dropping(ScriptedEngine):
        def step(self):
            outputs = super().step()
            for output in outputs:
                output.finished = True
            self.live.clear()
            return outputs

    with pytest.raises(RuntimeError, match="ended 1 requests"):
        run(Dropping(lambda ids: [0.0, 9.0, 0.0, 0.0, 0.0]), np.array([[0, 0, 1, 1, 1, 1]], dtype=np.int32))
