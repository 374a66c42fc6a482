"""Teacher and baseline in one pass, against float64 arithmetic and against each model alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.pair import PairedEngine
from pytest_kdmem.errors import EngineError
from tests.engines.any_engine import EXTRACTION, assert_same_windows, engine_of, ignore_progress

TOKENS = 300


def windows(count: int = 12) -> list[Example]:
    """Examples of unequal length."""
    ids = np.random.default_rng(3).integers(1, 290, (count, 64), dtype=np.int32)
    return [Example(position, row[: 50 + position]) for position, row in enumerate(ids)]


def pair_of(teacher, baseline, batch_size=None) -> PairedEngine:
    engines = (engine_of(folder, batch_size=batch_size) for folder in (teacher, baseline))
    return PairedEngine(*engines, TOKENS)


@pytest.fixture(scope="module")
def padded(make_model):
    """Two models of one tokenizer whose embeddings are padded to different sizes, as the real families' are."""
    return make_model("pythia", seed=1, vocabulary=352), make_model("qwen3", seed=2, vocabulary=320)


@pytest.fixture(scope="module")
def paired_scores(padded):
    return pair_of(*padded, batch_size=4).score(windows(), EXTRACTION, ignore_progress)


def test_divergence_is_that_of_float64_over_the_tokens_of_the_tokenizer(padded, paired_scores):
    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval() for folder in padded]
    for row, example in enumerate(windows()):
        ids = torch.from_numpy(example.ids.astype(np.int64))[None]
        with torch.inference_mode():
            p, q = (model(input_ids=ids).logits[0, :-1, :TOKENS].softmax(dim=-1).numpy() for model in models)
        assert paired_scores.kl[row] == pytest.approx(entropy(p, q, axis=1).mean(), rel=1e-4)


def test_each_model_has_the_scores_that_it_has_alone(padded, paired_scores):
    for folder, together in zip(padded, (paired_scores.teacher, paired_scores.baseline), strict=True):
        alone = engine_of(folder, batch_size=4).score(windows(), EXTRACTION, "all", ignore_progress)
        for name in ("margin", "first_miss", "logprob", "nll", "entropy"):
            np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))
        assert_same_windows(together.windows, alone.windows)
        assert together.tolerance == alone.tolerance


def test_a_model_has_no_divergence_from_itself_at_all(padded):
    scores = pair_of(padded[0], padded[0]).score(windows(), EXTRACTION, ignore_progress)
    assert (scores.kl == 0).all()


def test_divergence_does_not_grow_with_the_length_of_the_window(padded, paired_scores):
    short = [Example(example.position, example.ids[:50]) for example in windows()]
    of_short = pair_of(*padded).score(short, EXTRACTION, ignore_progress).kl
    assert np.median(paired_scores.kl / of_short) == pytest.approx(1.0, abs=0.15)


def test_progress_counts_every_example_once(padded):
    counts: list[int] = []
    pair_of(*padded, batch_size=5).score(windows(), EXTRACTION, counts.append)
    assert counts == [5, 5, 2]


def test_an_infinite_divergence_is_an_error(padded):
    teacher, baseline = (engine_of(folder) for folder in padded)

    def mask_token(module, inputs, logits):
        return logits.index_fill(-1, torch.tensor(7), -torch.inf)

    baseline._head.linear.register_forward_hook(mask_token)
    examples = [Example(0, np.full(64, 9, dtype=np.int32))]
    with pytest.raises(EngineError, match=r"finite KL.*example 0"):
        PairedEngine(teacher, baseline, TOKENS).score(examples, EXTRACTION, ignore_progress)
