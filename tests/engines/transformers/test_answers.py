"""Answers behind prompts of unequal lengths have the verdicts of a greedy loop over single examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.pair import PairedEngine
from pytest_kdmem.specs.declared import Extraction
from tests.engines.any_engine import assert_same_windows, engine_of, ignore_progress

LENGTHS = Extraction(20, 12, 64)
PROMPTS = (1, 3, 52, 17, 3, 30, 51, 8)


@pytest.fixture(scope="module")
def model(tiny):
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()


def continued(model, prompt: np.ndarray, tokens: int) -> np.ndarray:
    """A prompt with what the model says behind it, one token at a time and without a cache."""
    ids = torch.from_numpy(prompt[None].astype(np.int64))
    with torch.inference_mode():
        for _ in range(tokens):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    return ids[0].numpy().astype(np.int32)


@pytest.fixture(scope="module")
def answers(model) -> list[Example]:
    """Every other answer begins as the model itself answers; the others miss at another place each."""
    random = np.random.default_rng(5)
    examples = []
    for position, prompt_tokens in enumerate(PROMPTS):
        ids = continued(model, random.integers(1, 290, prompt_tokens, dtype=np.int32), LENGTHS.suffix_tokens)
        if position % 2:
            at = prompt_tokens + position
            ids[at] = (ids[at] + 1) % 290
        rest = random.integers(1, 290, (position * 7) % (65 - len(ids)), dtype=np.int32)
        examples.append(Example(position, np.concatenate([ids, rest]), prompt_tokens, row=position))
    return examples


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("metrics", ["verdict", "all"])
def test_verdicts_are_those_of_a_greedy_loop(tiny, answers, model, metrics, batch_size):
    scores = engine_of(tiny, batch_size=batch_size).score(answers, LENGTHS, metrics, ignore_progress)
    expected = []
    for example, prompt_tokens in zip(answers, PROMPTS, strict=True):
        said = continued(model, example.ids[:prompt_tokens], LENGTHS.suffix_tokens)[prompt_tokens:]
        missed = np.flatnonzero(said != example.ids[prompt_tokens : prompt_tokens + LENGTHS.suffix_tokens])
        expected.append(int(missed[0]) if len(missed) else -1)
    assert expected == [-1, 1, -1, 3, -1, 5, -1, 7]
    assert scores.first_miss.tolist() == expected
    assert scores.memorized.tolist() == [True, False] * 4


def test_losses_are_of_answers_alone(tiny, answers, model):
    scores = engine_of(tiny, batch_size=3).score(answers, LENGTHS, "all", ignore_progress)
    for row, example in enumerate(answers):
        start = example.prefix_tokens
        ids = torch.from_numpy(example.ids.astype(np.int64))
        with torch.inference_mode():
            logprobs = model(input_ids=ids[None]).logits[0].double().log_softmax(dim=-1)
        of_tokens = logprobs[:-1].gather(1, ids[1:, None])[:, 0]
        suffix = slice(start - 1, start - 1 + LENGTHS.suffix_tokens)
        assert scores.nll[row] == pytest.approx(-of_tokens[start - 1 :].mean().item(), rel=1e-4)
        assert scores.logprob[row] == pytest.approx(of_tokens[suffix].sum().item(), rel=1e-4)
        least = of_tokens[start - 1 :].sort().values[: max(1, int(0.2 * (len(ids) - start)))]
        assert scores.windows.min_k[row] == pytest.approx(least.mean().item(), rel=1e-4)
        assert len(scores.windows.margins[row]) == len(ids) - 1
        hits = (logprobs[:-1].argmax(dim=1) == ids[1:]).tolist()
        assert (scores.windows.margins[row] >= 0).tolist() == hits, "of the prompt and the answer, without padding"
        assert scores.entropy[row] == pytest.approx(entropy(logprobs[:-1][suffix].exp(), axis=1).mean(), rel=1e-4)


def test_divergence_is_of_answers_alone(tiny, make_model, answers, model):
    other = make_model("pythia", seed=4)
    scores = PairedEngine(engine_of(tiny, batch_size=3), engine_of(other, batch_size=3), 300)
    together = scores.score(answers, LENGTHS, ignore_progress)
    baseline = AutoModelForCausalLM.from_pretrained(other, dtype=torch.float32).eval()
    for row, example in enumerate(answers):
        ids = torch.from_numpy(example.ids[None].astype(np.int64))
        with torch.inference_mode():
            p, q = (m(input_ids=ids).logits[0, :-1].double().softmax(dim=-1).numpy() for m in (model, baseline))
        answer = slice(example.prefix_tokens - 1, None)
        assert together.kl[row] == pytest.approx(entropy(p[answer], q[answer], axis=1).mean(), rel=1e-3)
    alone = engine_of(tiny, batch_size=3).score(answers, LENGTHS, "all", ignore_progress)
    np.testing.assert_array_equal(together.teacher.first_miss, alone.first_miss)
    assert_same_windows(together.teacher.windows, alone.windows)


def test_prompts_of_unequal_lengths_are_continued_each_by_itself(tiny, answers, model):
    prompts = [example.ids[: example.prefix_tokens] for example in answers]
    decoded = engine_of(tiny, batch_size=3).decode(prompts, 6)
    for prompt, continuation in zip(prompts, decoded, strict=True):
        assert continuation.tolist() == continued(model, prompt, 6)[len(prompt) :].tolist()
