"""Near-verbatim verdicts by decoding that stops early, against decoding to the end by `generate` and rapidfuzz."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.near_decoding import near_verdicts
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.nearness import Nearness
from tests.engines.any_engine import EXTRACTION, engine_of, examples_of, ignore_progress
from tests.engines.test_nearness_bounds import is_near

PREFIX, SUFFIX = EXTRACTION.prefix_tokens, EXTRACTION.suffix_tokens


@pytest.fixture(scope="module", params=["pythia", "olmo2", "qwen3"])
def folder(request, make_model):
    return make_model(request.param)


def altered(ids: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """What a model says itself, with up to as many edits in each suffix as there are rows before it."""
    random = np.random.default_rng(seed)
    ids = ids.copy()
    for row, suffix in enumerate(ids[:, PREFIX:]):
        tokens = suffix.tolist()
        for _ in range(row % 9):
            place = int(random.integers(len(tokens)))
            kind = random.choice(["other", "less", "more"])
            tokens[place : place + (kind != "more")] = [] if kind == "less" else [int(random.integers(1, 299))]
        ids[row, PREFIX:] = (tokens + [5] * len(suffix))[: len(suffix)]
    return ids


def spoken(recited_ids, folder, examples: int) -> np.ndarray:
    return recited_ids(folder, examples=2 * examples, prefix=PREFIX, suffix=SUFFIX)[::2]


def misses(engine, examples) -> np.ndarray:
    scores = engine.score(examples, EXTRACTION, "verdict", ignore_progress)
    return np.where(scores.memorized, SUFFIX, scores.first_miss).astype(np.int32)


def by_decoding_all(engine, examples, nearness: Nearness) -> list[bool]:
    continuations = engine.decode([example.ids[: example.start(EXTRACTION)] for example in examples], SUFFIX)
    suffixes = [example.ids[example.start(EXTRACTION) : example.end(EXTRACTION)] for example in examples]
    pairs = zip(continuations, suffixes, strict=True)
    return [is_near(continuation.tolist(), suffix.tolist(), nearness) for continuation, suffix in pairs]


@pytest.mark.parametrize("nearness", [Nearness(), Nearness(0.3), Nearness(0.0, run=8), Nearness(0.1, run=15)], ids=str)
def test_verdicts_are_those_of_decoding_all(folder, recited_ids, nearness):
    engine = engine_of(folder, batch_size=16)
    examples = examples_of(altered(spoken(recited_ids, folder, 45)))
    done: list[int] = []
    verdicts = near_verdicts(engine, examples, misses(engine, examples), EXTRACTION, nearness, done.append)
    expected = by_decoding_all(engine, examples, nearness)
    assert verdicts.near.tolist() == expected
    assert verdicts.ambiguous.sum() <= 2  # near ties of a random model
    assert 5 < sum(expected) < len(examples)
    assert sum(done) == len(examples)


def test_a_pass_that_told_of_a_later_miss_changes_no_verdict(tiny, recited_ids):
    """As half precision may: what it calls a hit, this run decides."""
    engine = engine_of(tiny)
    examples = examples_of(altered(spoken(recited_ids, tiny, 27)))
    expected = by_decoding_all(engine, examples, Nearness())
    for hits in (np.zeros(27, np.int32), misses(engine, examples) // 2, np.full(27, SUFFIX, np.int32)):
        verdicts = near_verdicts(engine, examples, hits, EXTRACTION, Nearness(), ignore_progress)
        assert verdicts.near.tolist() == expected


def test_prefixes_of_other_lengths_are_decoded_together(tiny, recited_ids):
    engine = engine_of(tiny)
    rows = altered(spoken(recited_ids, tiny, 27))
    examples = [
        Example(at, row[cut:].astype(np.int32), PREFIX - cut) for at, row in enumerate(rows) if (cut := at % 3) >= 0
    ]
    verdicts = near_verdicts(engine, examples, misses(engine, examples), EXTRACTION, Nearness(0.2), ignore_progress)
    assert verdicts.near.tolist() == by_decoding_all(engine, examples, Nearness(0.2))


def test_a_model_without_a_cache_is_run_on_all_tokens(tmp_path, tiny, recited_ids):
    torch.manual_seed(0)
    config = AutoConfig.for_model("mamba", vocab_size=300, hidden_size=32, num_hidden_layers=2, initializer_range=0.5)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    engine = engine_of(tmp_path)
    examples = examples_of(altered(spoken(recited_ids, tmp_path, 18)))
    verdicts = near_verdicts(engine, examples, misses(engine, examples), EXTRACTION, Nearness(), ignore_progress)
    assert verdicts.near.tolist() == by_decoding_all(engine, examples, Nearness())


def test_few_tokens_are_decoded_of_what_leaves_the_text(tiny, monkeypatch):
    """Of random text nearly every example is certain after as many misses as there are edits, and some tokens more."""
    engine = engine_of(tiny, batch_size=32)
    examples = examples_of(np.random.default_rng(0).integers(1, 299, (32, PREFIX + SUFFIX)))
    decoded: list[int] = []
    step = engine.passes.step
    monkeypatch.setattr(engine.passes, "step", lambda ids, cache=None: (decoded.append(len(ids)), step(ids, cache))[1])
    verdicts = near_verdicts(engine, examples, misses(engine, examples), EXTRACTION, Nearness(), ignore_progress)
    assert not verdicts.near.any()
    assert sum(decoded) < 32 * (SUFFIX // 3)


def test_a_tie_makes_a_verdict_ambiguous_only_while_it_is_open(tiny, recited_ids):
    engine = engine_of(tiny)
    rows = spoken(recited_ids, tiny, 1).repeat(3, axis=0)
    rows[1, PREFIX + SUFFIX - 3 :] = 7  # certain: three edits are left, and three are allowed
    rows[2, PREFIX : PREFIX + 10] = 7
    examples = examples_of(rows)
    hits = misses(engine, examples)
    engine.tolerance = 1e9  # every step is a near tie
    verdicts = near_verdicts(engine, examples, hits, EXTRACTION, Nearness(), ignore_progress)
    assert verdicts.near.tolist() == [True, True, False]
    assert verdicts.ambiguous.tolist() == [True, True, True]
    all_are_near = near_verdicts(engine, examples, hits, EXTRACTION, Nearness(0.1, run=1), ignore_progress)
    assert all_are_near.ambiguous.tolist() == [True, True, True]
    engine.tolerance = 0.0
    verdicts = near_verdicts(engine, examples, hits, EXTRACTION, Nearness(), ignore_progress)
    assert verdicts.ambiguous.tolist() == [False, False, False]


def test_a_tie_behind_what_is_certain_does_not_count(tiny, recited_ids):
    engine = engine_of(tiny)
    rows = spoken(recited_ids, tiny, 12)
    margins = engine.passes.margins(torch.from_numpy(rows.astype(np.int64)), PREFIX).numpy()
    last, before = margins[:, -3:].min(axis=1), margins[:, :-3].min(axis=1)
    engine.tolerance = float(np.median(np.minimum(last, before)))
    examples = examples_of(rows)
    verdicts = near_verdicts(engine, examples, np.full(12, SUFFIX, np.int32), EXTRACTION, Nearness(), ignore_progress)
    assert verdicts.near.all()
    assert verdicts.ambiguous.tolist() == (before <= engine.tolerance).tolist()
    assert 0 < verdicts.ambiguous.sum() < ((np.minimum(last, before) <= engine.tolerance).sum() + 1)


def test_a_broken_model_is_named(make_model):
    folder = make_model("pythia", initializer_range=0.3)
    engine = engine_of(folder)
    with torch.inference_mode():
        engine.passes._heads.head.linear.weight.fill_(torch.nan)
    examples = examples_of(np.random.default_rng(0).integers(1, 299, (2, PREFIX + SUFFIX)))
    with pytest.raises(EngineError, match="Finite logits were expected"):
        near_verdicts(engine, examples, np.zeros(2, np.int32), EXTRACTION, Nearness(), ignore_progress)


def test_the_reference_itself_counts_edits_over_tokens():
    assert Levenshtein.normalized_distance([1, 2, 3, 4], [1, 3, 4, 5]) == 0.5
