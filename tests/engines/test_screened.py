"""A model that is screened in half precision has the verdicts of float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.engines import screened
from pytest_kdmem.engines.protocol import take_scores
from pytest_kdmem.engines.screened import ScreenedEngine
from pytest_kdmem.errors import EngineError
from tests.engines.any_engine import EXTRACTION, assert_same_windows, engine_of, examples_of, ignore_progress

ARRAYS = ("margin", "first_miss", "logprob", "nll", "entropy")


@pytest.fixture(scope="module")
def ids(tiny):
    """Rows that the model continues as it would, of which some tokens are changed to its second choices."""
    random = np.random.default_rng(0)
    prefixes = random.integers(1, 290, (160, EXTRACTION.prefix_tokens), dtype=np.int32)
    engine = engine_of(tiny)
    continuations = engine.decode(list(prefixes), 44)
    rows = np.concatenate([prefixes, np.stack(continuations)], axis=1)
    rows[::2, 30] = random.integers(1, 290, 80)
    return rows


@pytest.fixture(scope="module")
def float32_scores(tiny, ids):
    return engine_of(tiny).score(examples_of(ids), EXTRACTION, "all", ignore_progress)


def screened_engine(folder, screen="bfloat16", **settings) -> ScreenedEngine:
    decider = engine_of(folder, **settings)
    return ScreenedEngine(decider.over_same_weights(screen), decider)


@pytest.mark.parametrize("metrics", ["verdict", "all"])
@pytest.mark.parametrize("screen", ["bfloat16", "float16"])
def test_verdicts_are_those_of_float32(tiny, ids, float32_scores, metrics, screen):
    progress = []
    scores = screened_engine(tiny, screen).score(examples_of(ids), EXTRACTION, metrics, progress.append)
    np.testing.assert_array_equal(scores.memorized, float32_scores.memorized)
    assert 0 < scores.memorized.sum() < len(ids)
    assert scores.tolerance == float32_scores.tolerance
    assert scores.screening.screened == len(ids) == sum(progress)
    assert 0 < scores.screening.decided < len(ids)
    assert scores.screening.band > scores.tolerance


def test_decided_examples_have_the_columns_of_float32_and_the_others_those_of_the_screening(tiny, ids, float32_scores):
    engine = screened_engine(tiny, batch_size=1)
    half = engine_of(tiny, dtype="bfloat16", batch_size=1).score(examples_of(ids), EXTRACTION, "all", ignore_progress)
    exact = engine_of(tiny, batch_size=1).score(examples_of(ids), EXTRACTION, "all", ignore_progress)
    scores = engine.score(examples_of(ids), EXTRACTION, "all", ignore_progress)
    decided = scores.margin == exact.margin
    assert decided.sum() == scores.screening.decided
    assert decided[np.abs(half.margin) <= scores.screening.band].all()
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(scores, name)[decided], getattr(exact, name)[decided])
        np.testing.assert_array_equal(getattr(scores, name)[~decided], getattr(half, name)[~decided])
    windows = take_scores(scores, np.flatnonzero(decided)).windows
    assert_same_windows(windows, take_scores(exact, np.flatnonzero(decided)).windows)
    for row in np.flatnonzero(~decided):
        np.testing.assert_array_equal(scores.windows.margins[row], half.windows.margins[row])
    hits, exact_hits = (np.stack([*each.windows.margins]) >= 0 for each in (scores, exact))
    unsure = np.abs(np.stack([*scores.windows.margins])) <= scores.windows.unsure_within[:, None]
    assert (hits != exact_hits).any(), "tokens that half precision hits and float32 misses, or the other way round"
    np.testing.assert_array_equal(hits[~unsure], exact_hits[~unsure])


def test_sure_misses_are_screened_again_when_the_band_reaches_them(tiny, ids, float32_scores, monkeypatch):
    monkeypatch.setattr(screened, "SURE_MISS_FACTOR", 1.0)
    engine = screened_engine(tiny)
    engine._screener.tolerance = 1e-3  # so the first screening stops at misses that the band will hold
    progress = []
    scores = engine.score(examples_of(ids), EXTRACTION, "verdict", progress.append)
    assert scores.screening.band > 1e-3
    assert sum(progress) == len(ids)
    np.testing.assert_array_equal(scores.memorized, float32_scores.memorized)


@pytest.fixture(scope="module")
def overflowing(make_model, tmp_path_factory):
    """A model of which one token overflows in float16, and that token, which opening an engine does not try."""
    tried = torch.randint(0, 300, (4, 64), generator=torch.Generator().manual_seed(0))
    token = min(set(range(20, 290)) - set(tried.flatten().tolist()))
    model = AutoModelForCausalLM.from_pretrained(make_model("pythia", seed=4))
    model.get_input_embeddings().weight.data[token] = 1e6
    folder = tmp_path_factory.mktemp("overflowing")
    model.save_pretrained(folder)
    return folder, token


def test_examples_that_overflow_in_half_precision_are_decided_all(overflowing):
    folder, token = overflowing
    rows = np.random.default_rng(1).integers(1, 20, (6, 64), dtype=np.int32)
    rows[3, 10] = token
    exact = engine_of(folder).score(examples_of(rows), EXTRACTION, "all", ignore_progress)
    progress = []
    engine = screened_engine(folder, "float16")
    with pytest.raises(EngineError, match="NaN or infinity at example 3"):
        engine._screener.score(examples_of(rows), EXTRACTION, "all", ignore_progress)
    scores = engine.score(examples_of(rows), EXTRACTION, "all", progress.append)
    assert (scores.screening.screened, scores.screening.decided) == (0, 6)
    assert sum(progress) == 6
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(scores, name), getattr(exact, name))


def test_a_screening_that_fails_otherwise_is_an_error_and_no_other_engine_takes_its_place(tiny, ids):
    engine = screened_engine(tiny)
    layer = engine._screener._model.gpt_neox.layers[0]
    forward = layer.forward

    def without_memory_in_half_precision(hidden, *arguments, **settings):
        if hidden.dtype == torch.bfloat16:
            raise torch.OutOfMemoryError
        return forward(hidden, *arguments, **settings)

    layer.forward = without_memory_in_half_precision
    with pytest.raises(EngineError, match="runs out of memory with one example"):
        engine.score(examples_of(ids[:3]), EXTRACTION, "verdict", ignore_progress)


def test_losses_and_decoding_are_those_of_float32(tiny, ids):
    engine, exact = screened_engine(tiny), engine_of(tiny)
    examples = examples_of(ids[:3])
    np.testing.assert_array_equal(engine.losses(examples), exact.losses(examples))
    np.testing.assert_array_equal(engine.decode(list(ids[:3, :20]), 5), exact.decode(list(ids[:3, :20]), 5))
