"""Prefixes from which a model recites, against real greedy decoding from every length of a prefix."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.metrics import window_hits
from pytest_kdmem.metrics.window_hits import NEVER, WindowHits
from pytest_kdmem.scoring.window_columns import pack_bits, window_columns
from pytest_kdmem.specs.declared import Extraction
from tests.engines.any_engine import engine_of, ignore_progress

LENGTHS = Extraction(prefix_tokens=12, suffix_tokens=6, window_tokens=48)


def continued(model, ids: np.ndarray, tokens: int) -> np.ndarray:
    """Rows of ids and what the model says behind each, step by step over the whole text."""
    continued_ids = torch.from_numpy(ids.astype(np.int64))
    with torch.inference_mode():
        for _ in range(tokens):
            continued_ids = torch.cat(
                [continued_ids, model(input_ids=continued_ids).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1
            )
    return continued_ids.numpy().astype(np.int32)


@pytest.fixture(scope="module")
def model(tiny):
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def sequences(model) -> list[np.ndarray]:
    """300 sequences of 18 to 48 ids, in each of which the model itself goes on at some place for some tokens."""
    random = np.random.default_rng(7)
    made = []
    for start in range(1, 31):
        rows = continued(model, random.integers(1, 290, (10, start)), 16)
        for row in rows:
            recited = row[: start + random.integers(3, 17)]
            rest = random.integers(1, 290, 48, dtype=np.int32)
            made.append(np.concatenate([recited, rest])[: random.integers(max(18, start + 8), 49)])
    return made


@pytest.fixture(scope="module")
def decoded(model, sequences) -> np.ndarray:
    """Whether greedy decoding from the first n tokens gives the next 6, bool ``[sequences, n]``."""
    recites = np.zeros((len(sequences), 43), dtype=bool)
    for prefix in range(1, 43):
        rows = [row for row, ids in enumerate(sequences) if len(ids) >= prefix + 6]
        continued_ids = continued(model, np.stack([sequences[row][:prefix] for row in rows]), 6)[:, prefix:]
        recites[rows, prefix] = [
            np.array_equal(continued_ids[at], sequences[row][prefix : prefix + 6]) for at, row in enumerate(rows)
        ]
    return recites


def hits_of(tiny, examples: list[Example]) -> WindowHits:
    scores = engine_of(tiny).score(examples, LENGTHS, "all", ignore_progress)
    columns = window_columns(examples, scores.windows, LENGTHS)
    tokens, suffix_at = (columns[name].to_numpy().astype(np.int32) for name in ("tokens", "suffix_at"))
    return WindowHits(*(pa.chunked_array([columns[name]]) for name in ("hits", "unsure")), tokens, suffix_at, LENGTHS)


@pytest.mark.parametrize("rows_at_once", [1 << 14, 7])
def test_prefixes_that_recite_are_those_of_greedy_decoding(tiny, sequences, decoded, rows_at_once, monkeypatch):
    monkeypatch.setattr(window_hits, "ROWS_AT_ONCE", rows_at_once)
    hits = hits_of(tiny, [Example(position, ids) for position, ids in enumerate(sequences)])
    assert not hits.are_answers
    lengths = list(range(1, 43))
    for length, recited in zip(lengths, hits.recited(lengths), strict=True):
        np.testing.assert_array_equal(recited["memorized"], decoded[:, length])
        assert (recited["sure"] <= recited["memorized"]).all()
        assert (recited["memorized"] <= recited["possible"]).all()
        assert hits.is_measured(length).tolist() == [len(ids) >= length + 6 for ids in sequences]
    shortest = np.where(decoded.any(axis=1), decoded.argmax(axis=1), NEVER)
    assert (shortest != NEVER).sum() > 100, "else nothing is shown"
    np.testing.assert_array_equal(hits.shortest_prefixes["memorized"], shortest)
    assert hits.lengths == [12, 25]


def test_lengths_of_answers_are_counted_from_their_first_token(tiny, sequences, decoded):
    starts = np.random.default_rng(3).integers(1, 12, len(sequences)).tolist()
    pairs = enumerate(zip(sequences, starts, strict=True))
    hits = hits_of(tiny, [Example(position, ids, start) for position, (ids, start) in pairs])
    assert hits.are_answers
    assert hits.lengths == [0, 25]
    for length, recited in zip(range(30), hits.recited(range(30)), strict=True):
        expected = [decoded[row, start + length] for row, start in enumerate(starts)]
        assert recited["memorized"].tolist() == expected
        assert hits.is_measured(length).tolist() == [
            len(ids) >= start + length + 6 for ids, start in zip(sequences, starts, strict=True)
        ]
    shortest = [
        int(places[0]) if len(places := np.flatnonzero(decoded[row, start:])) else NEVER
        for row, start in enumerate(starts)
    ]
    assert hits.shortest_prefixes["memorized"].tolist() == shortest


def by_hand(rows: list[str], unsure: list[str] | None = None, suffix_at: int = 12) -> WindowHits:
    """Hits written as 1, of tokens from the second on."""
    unsure = unsure or ["0" * len(row) for row in rows]
    hits, near = (
        pa.chunked_array([pa.array([pack_bits(np.array(list(row)) == "1") for row in side], pa.binary())])
        for side in (rows, unsure)
    )
    tokens = np.array([len(row) + 1 for row in rows], np.int32)
    return WindowHits(hits, near, tokens, np.full(len(rows), suffix_at, np.int32), LENGTHS)


@pytest.mark.parametrize("with_places", [False, True])
def test_what_is_recited_from_the_prefix_goes_as_far_as_greedy_decoding(tiny, model, sequences, with_places):
    starts = np.random.default_rng(5).integers(1, 12, len(sequences)) if with_places else np.full(len(sequences), 12)
    places = starts.tolist() if with_places else [None] * len(sequences)
    recited = []
    for ids, start in zip(sequences, starts.tolist(), strict=True):
        misses = np.flatnonzero(continued(model, ids[None, :start], len(ids) - start)[0] != ids)
        recited.append((int(misses[0]) if len(misses) else len(ids)) - start)
    pairs = enumerate(zip(sequences, places, strict=True))
    hits = hits_of(tiny, [Example(position, ids, start) for position, (ids, start) in pairs])
    assert sum(tokens > 6 for tokens in recited) > 30, "else nothing is shown"
    assert hits.recited_tokens["memorized"].tolist() == recited


def test_the_longest_run_is_that_of_a_loop_over_the_text():
    random = np.random.default_rng(0)
    rows = ["".join(random.choice(["0", "1"], size, p=[0.2, 0.8])) for size in random.integers(17, 48, 200)]
    assert by_hand(rows).longest_runs["memorized"].tolist() == [max(map(len, row.split("0"))) for row in rows]
    answers = by_hand(rows, suffix_at=5)
    assert answers.longest_runs["memorized"].tolist() == [max(map(len, row[4:].split("0"))) for row in rows]


def test_hits_and_misses_near_zero_move_the_bounds_of_a_run():
    hits = by_hand(["11111111111111111", "11111011111111111"], ["00000000100000000", "00000100000000000"])
    assert [hits.longest_runs[name].tolist() for name in ("memorized", "sure", "possible")] == [
        [17, 11],
        [8, 11],
        [17, 17],
    ]
    hits_behind = by_hand(["11111111111111111", "11111111111111011"], ["00000000000000100", "00000000000000100"])
    assert [hits_behind.recited_tokens[name].tolist() for name in ("memorized", "sure", "possible")] == [
        [6, 3],
        [3, 3],
        [6, 6],
    ]
    [recited] = hits.recited([1])
    assert [recited[name].tolist() for name in ("memorized", "sure", "possible")] == [
        [True, False],
        [True, False],
        [True, True],
    ]
