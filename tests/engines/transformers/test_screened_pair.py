"""Teacher and baseline screened in half precision together have the verdicts of float32."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.engines.screened import ScreenedEngine
from pytest_kdmem.engines.transformers.pair import PairedEngine
from pytest_kdmem.engines.transformers.screened_pair import ScreenedPair
from tests.engines.any_engine import EXTRACTION, assert_same_windows, engine_of, examples_of, ignore_progress

TOKENS = 300


@pytest.fixture(scope="module")
def folders(make_model):
    return make_model("pythia", seed=1), make_model("qwen3", seed=2)


@pytest.fixture(scope="module")
def examples(folders):
    """Rows that the first model recites, every other with one token changed."""
    random = np.random.default_rng(0)
    prefixes = random.integers(1, 290, (96, EXTRACTION.prefix_tokens), dtype=np.int32)
    rows = np.concatenate([prefixes, np.stack(engine_of(folders[0]).decode(list(prefixes), 44))], axis=1)
    rows[::2, 30] = random.integers(1, 290, 48)
    return examples_of(rows)


def engines(folders, screened=(True, True)):
    """Engines of both models that decide, and those that screen; a model that is not screened is one engine."""
    deciders = [engine_of(folder, batch_size=1) for folder in folders]
    screeners = [
        decider.over_same_weights("bfloat16") if is_screened else decider
        for decider, is_screened in zip(deciders, screened, strict=True)
    ]
    return screeners, deciders


def pair(folders, **settings) -> ScreenedPair:
    screeners, deciders = engines(folders, **settings)
    return ScreenedPair(PairedEngine(*screeners, TOKENS), PairedEngine(*deciders, TOKENS))


def test_each_model_has_the_rows_that_it_has_alone(folders, examples):
    together = pair(folders).score(examples, EXTRACTION, ignore_progress)
    for folder, scores in zip(folders, (together.teacher, together.baseline), strict=True):
        decider = engine_of(folder, batch_size=1)
        alone = ScreenedEngine(decider.over_same_weights("bfloat16"), decider)
        expected = alone.score(examples, EXTRACTION, "all", ignore_progress)
        for name in ("margin", "first_miss", "logprob", "nll", "entropy"):
            np.testing.assert_array_equal(getattr(scores, name), getattr(expected, name))
        assert_same_windows(scores.windows, expected.windows)
        assert scores.screening == expected.screening


def test_divergences_of_decided_examples_are_those_of_float32(folders, examples):
    _, deciders = engines(folders)
    exact = PairedEngine(*deciders, TOKENS).score(examples, EXTRACTION, ignore_progress)
    scores = pair(folders).score(examples, EXTRACTION, ignore_progress)
    decided = (scores.teacher.margin == exact.teacher.margin) | (scores.baseline.margin == exact.baseline.margin)
    assert 0 < decided.sum() < len(examples)
    np.testing.assert_array_equal(scores.kl[decided], exact.kl[decided])
    np.testing.assert_allclose(scores.kl, exact.kl, rtol=0.05)
    np.testing.assert_array_equal(scores.teacher.memorized, exact.teacher.memorized)


def test_a_model_of_a_named_dtype_keeps_its_own_rows_beside_a_screened_one(folders, examples):
    engine = pair(folders, screened=(True, False))
    scores = engine.score(examples, EXTRACTION, ignore_progress)
    alone = engine_of(folders[1], batch_size=1).score(examples, EXTRACTION, "all", ignore_progress)
    np.testing.assert_array_equal(scores.baseline.margin, alone.margin)
    assert scores.baseline.screening is None
    assert scores.teacher.screening.screened == len(examples)
    engine.close()
