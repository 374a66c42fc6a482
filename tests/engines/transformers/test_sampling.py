"""Probabilities under samplers, against the processors that `generate` itself makes, a token at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GenerationConfig

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.transformers.sampling import suffix_logprobs, target_logprobs
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.window_columns import least_shortfall
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.sampler import Sampler
from tests.engines.any_engine import EXTRACTION, engine_of, examples_of, ignore_progress

PREFIX, SUFFIX = EXTRACTION.prefix_tokens, EXTRACTION.suffix_tokens
SAMPLERS = [
    Sampler(),
    Sampler(0.7, 40),
    Sampler(1.3, top_p=0.9),
    Sampler(0.9, 50, 0.8, 0.05),
    Sampler(epsilon_cutoff=0.004, eta_cutoff=0.003),
    Sampler(top_k=1),
]
TOLERANCE = 1e-4


def settings_of(sampler: Sampler) -> GenerationConfig:
    return GenerationConfig(
        do_sample=True,
        num_beams=1,
        temperature=sampler.temperature,
        top_k=sampler.top_k or 0,
        top_p=sampler.top_p,
        min_p=sampler.min_p,
        epsilon_cutoff=sampler.epsilon_cutoff or 0.0,
        eta_cutoff=sampler.eta_cutoff or 0.0,
    )


def by_generate(model, ids: torch.Tensor, samplers: Sequence[Sampler], start: int, tokens: int) -> list[float]:
    """Log-probabilities of the tokens from ``start`` on, by the model's own processors, a step at a time."""
    processors = [
        model._get_logits_processor(settings_of(sampler), input_ids_seq_length=start, device="cpu")
        for sampler in samplers
    ]
    logprobs = [0.0] * len(samplers)
    for place in range(start, start + tokens):
        with torch.inference_mode():
            logits = model(input_ids=ids[None, :place]).logits[:, -1].float()
        for at, of_sampler in enumerate(processors):
            chosen = of_sampler(ids[None, :place], logits.clone()).double().log_softmax(-1)
            logprobs[at] += float(chosen[0, ids[place]])
    return logprobs


def test_probabilities_are_those_of_generating_by_steps(tiny, recited_ids):
    ids = recited_ids(tiny, examples=16, prefix=PREFIX, suffix=SUFFIX)
    ids[1, -3] = 7
    examples = examples_of(ids)
    done: list[int] = []
    engine = engine_of(tiny, batch_size=4)
    logprobs = suffix_logprobs(engine, examples, EXTRACTION, SAMPLERS, done.append)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    assert sum(done) == len(examples)
    for each in logprobs:
        assert (each.least <= each.logprob).all()
        assert (each.logprob <= each.most).all()
    drawn = 0
    for row in range(0, 16, 5):
        expected = by_generate(model, torch.from_numpy(ids[row]).long(), SAMPLERS, PREFIX, SUFFIX)
        for of_sampler, value in zip(logprobs, expected, strict=True):
            least, most = of_sampler.least[row], of_sampler.most[row]
            assert least - 1e-4 <= value <= most + 1e-4
            if least > -np.inf:
                drawn += 1
                assert of_sampler.logprob[row] == pytest.approx(value, abs=1e-3)
    assert drawn > len(SAMPLERS)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["teacher", "student"])
def test_probabilities_of_shipped_models_are_those_of_the_processors(shipped, model):
    """Examples by a forward pass of the whole model and its own processors each; a quarter of a minute."""
    folder, extraction = shipped / "models/pythia" / model, Extraction(50, 50, 100)
    stream = stream_examples(TrainingSet(str(shipped / "corpus/training.jsonl.gz")), load_tokenizer(folder), extraction)
    examples = list(islice((each for each in stream if each.is_scored(extraction)), 120))
    logprobs = suffix_logprobs(engine_of(folder), examples, extraction, SAMPLERS, ignore_progress)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    finite = 0
    for row, example in enumerate(examples):
        ids = torch.from_numpy(example.ids[: extraction.scored_tokens].astype(np.int64))
        with torch.inference_mode():
            logits = whole(input_ids=ids[None]).logits[0, extraction.prefix_tokens - 1 : -1].float()
        targets = ids[extraction.prefix_tokens :]
        for sampler, of_sampler in zip(SAMPLERS, logprobs, strict=True):
            processors = whole._get_logits_processor(settings_of(sampler), input_ids_seq_length=1, device="cpu")
            chosen = processors(ids[None], logits.clone()).double().log_softmax(-1)
            expected = float(chosen.gather(1, targets[:, None]).sum())
            assert of_sampler.least[row] - 1e-3 <= expected <= of_sampler.most[row] + 1e-3
            if of_sampler.least[row] > -np.inf:
                finite += 1
                assert of_sampler.logprob[row] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert finite > len(examples)


logits_and_target = st.tuples(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12), st.integers(0, 11)).map(
    lambda drawn: (torch.tensor([drawn[0]]), torch.tensor([drawn[1] % len(drawn[0])]))
)
samplers = st.builds(
    Sampler,
    st.floats(0.05, 5),
    st.none() | st.integers(1, 12),
    *(st.none() | st.floats(0.01, 0.99) for _ in range(4)),
)


@given(logits_and_target, samplers, st.sampled_from([0.0, 1e-4, 0.1]))
def test_no_probability_is_above_the_bound_of_the_pass(drawn, sampler, tolerance):
    """The shortfall of one token, as `window_columns` counts it, bounds what any sampler gives it."""
    logits, target = drawn
    others = logits.scatter(1, target[:, None], -torch.inf)
    margin = np.array([float(logits[0, target] - others.max())], np.float32)
    bound = -least_shortfall(margin, tolerance) / sampler.temperature
    observed, least, most = target_logprobs(logits, target, sampler, tolerance).tolist()
    assert least[0] <= observed[0] <= most[0] <= 0
    assert most[0] <= bound + 1e-3


@given(logits_and_target, samplers, st.floats(-1, 1))
def test_logits_within_the_tolerance_stay_within_the_bounds(drawn, sampler, share):
    """Another kernel moves the target's logit by what the tolerance allows."""
    logits, target = drawn
    tolerance = 0.01
    moved = logits.scatter_add(1, target[:, None], torch.full((1, 1), share * tolerance))
    _, least, most = target_logprobs(logits, target, sampler, tolerance).tolist()
    other = target_logprobs(moved, target, sampler, 0.0)[0].item()
    assert least[0] - 1e-3 <= other <= most[0] + 1e-3


@given(logits_and_target)
def test_the_lower_the_temperature_the_more_it_is_greedy_decoding(drawn):
    logits, target = drawn
    others = logits.scatter(1, target[:, None], -torch.inf)
    margin = float(logits[0, target] - others.max())
    cold = target_logprobs(logits, target, Sampler(0.001), 1e-6)[0].item()
    if abs(margin) > 0.02:
        assert cold == pytest.approx(0.0, abs=1e-6) if margin > 0 else cold < -10


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 11))
def test_the_one_likeliest_token_is_greedy_decoding_and_ties_are_ambiguous(tied, further, at):
    logits = torch.tensor([[2.0] * tied + [1.0] * further])
    target = torch.tensor([at % (tied + further)])
    observed, least, most = target_logprobs(logits, target, Sampler(top_k=1), 1e-4)[:, 0].tolist()
    if target >= tied:
        assert observed == least == most == -math.inf
    elif tied == 1:
        assert (observed, least, most) == pytest.approx((0, 0, 0), abs=1e-6)
    else:
        assert observed == pytest.approx(-math.log(tied))
        assert least == -math.inf
        assert most == pytest.approx(0.0, abs=1e-6), "a tie counts as a hit, as in the pass"


def test_a_token_at_the_edge_of_a_truncation_is_ambiguous():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    for sampler in (Sampler(top_p=0.8), Sampler(min_p=0.4), Sampler(epsilon_cutoff=0.2)):
        _, least, most = target_logprobs(logits, torch.tensor([2]), sampler, 1e-3)[:, 0].tolist()
        assert least == -math.inf
        assert most > math.log(0.19)


def test_a_model_that_gives_nan_is_refused(make_model):
    folder = make_model(seed=3)
    engine = engine_of(folder)
    examples = examples_of(np.ones((3, PREFIX + SUFFIX), np.int32))
    with torch.no_grad():
        engine._model.get_output_embeddings().weight[0, 0] = torch.nan
    with pytest.raises(EngineError, match="NaN or infinity at example 0"):
        suffix_logprobs(engine, examples, EXTRACTION, SAMPLERS[:1], ignore_progress)


def test_an_answer_is_scored_behind_its_own_prompt(tiny, recited_ids):
    ids = recited_ids(tiny, examples=4, prefix=PREFIX, suffix=SUFFIX)
    whole = examples_of(ids)
    longer = [type(each)(each.position, each.ids, prefix_tokens=PREFIX - 3 * at) for at, each in enumerate(whole)]
    logprobs = suffix_logprobs(engine_of(tiny), longer, EXTRACTION, SAMPLERS[:1], ignore_progress)[0]
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    for row, example in enumerate(longer):
        start = example.start(EXTRACTION)
        expected = by_generate(model, torch.from_numpy(example.ids).long(), SAMPLERS[:1], start, SUFFIX)
        assert logprobs.logprob[row] == pytest.approx(expected[0], abs=1e-3)
