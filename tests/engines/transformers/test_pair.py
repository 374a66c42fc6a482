"""Teacher and baseline in one pass, against float64 arithmetic and against each model alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.pair import PairedEngine
from pytest_kdmem.engines.transformers.reduction import forward_kl
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

EXTRACTION = Extraction(20, 30, 64)
TOKENS = 300


def engine_of(folder, **settings):
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="all")
    return TransformersEngine(model, checkpoint, numerics, **settings)


def examples(count=12, seed=3):
    """Windows of unequal length."""
    ids = np.random.default_rng(seed).integers(1, 290, (count, 64), dtype=np.int32)
    return [Example(at, row[: 50 + at]) for at, row in enumerate(ids)]


def pair_of(teacher, baseline, **settings):
    return PairedEngine(engine_of(teacher, **settings), engine_of(baseline, **settings), TOKENS)


@pytest.fixture(scope="module")
def padded(make_model):
    """Two models of one tokenizer whose embeddings are padded to different sizes, as the real families' are."""
    return make_model("pythia", seed=1, vocabulary=352), make_model("qwen3", seed=2, vocabulary=320)


def test_divergence_is_that_of_float64_over_the_tokens_of_the_tokenizer(padded):
    found = pair_of(*padded, batch_size=4).score(examples(), EXTRACTION, lambda done: None)
    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval() for folder in padded]
    for at, example in enumerate(examples()):
        ids = torch.from_numpy(example.ids.astype(np.int64))[None]
        with torch.inference_mode():
            p, q = (model(input_ids=ids).logits[0, :-1, :TOKENS].softmax(dim=-1).numpy() for model in models)
        assert found.kl[at] == pytest.approx(entropy(p, q, axis=1).mean(), rel=1e-4)


def test_each_models_figures_are_those_it_has_alone(padded):
    found = pair_of(*padded, batch_size=4).score(examples(), EXTRACTION, lambda done: None)
    for folder, together in zip(padded, (found.teacher, found.baseline), strict=True):
        alone = engine_of(folder, batch_size=4).score(examples(), EXTRACTION, "all", lambda done: None)
        for name in ("margin", "first_miss", "logprob", "nll", "entropy"):
            np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))
        assert together.tolerance == alone.tolerance


def test_a_model_is_exactly_nothing_apart_from_itself(padded):
    found = pair_of(padded[0], padded[0]).score(examples(), EXTRACTION, lambda done: None)
    assert (found.kl == 0).all()


def test_divergence_does_not_grow_with_the_length_of_the_window(padded):
    short, whole = (
        pair_of(*padded).score([Example(0, row) for row in rows], EXTRACTION, lambda done: None).kl
        for rows in ([each.ids[:50] for each in examples()], [each.ids for each in examples()])
    )
    assert np.median(whole / short) == pytest.approx(1.0, abs=0.15)


def test_forward_kl_is_not_the_reverse_one():
    p, q = torch.tensor([[3.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, -2.0]])
    one, other = (entropy(a.double().softmax(1), b.double().softmax(1), axis=1)[0] for a, b in ((p, q), (q, p)))
    assert one != pytest.approx(other, rel=1e-2)
    assert float(forward_kl(p, q)) == pytest.approx(one, rel=1e-5)


def test_tokens_that_the_teacher_never_says_add_nothing():
    p, q = torch.tensor([[1.0, 0.0, -torch.inf]]), torch.tensor([[1.0, 0.0, -torch.inf]])
    assert float(forward_kl(p, q)) == 0.0
    only_baseline = torch.tensor([[1.0, 0.0, 5.0]])
    assert np.isfinite(float(forward_kl(p, only_baseline)))
    assert float(forward_kl(only_baseline, p)) == np.inf


def test_infinite_divergence_is_an_error_and_no_feature(padded, monkeypatch):
    pair = pair_of(*padded)
    masked = pair._baseline.logits
    monkeypatch.setattr(
        pair._baseline, "logits", lambda hidden: masked(hidden).index_fill(1, torch.tensor(7), -torch.inf)
    )
    with pytest.raises(EngineError, match=r"finite KL.*example 0"):
        pair.score([Example(0, np.full(64, 9, dtype=np.int32))], EXTRACTION, lambda done: None)
