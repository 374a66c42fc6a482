"""Suffixes under samplers over a whole training set, against the model's own processors and its own draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from pytest_kdmem.errors import EngineError
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.scoring.chosen_run import examples_at
from pytest_kdmem.scoring.sampled import SAMPLED_SCHEMA, may_be_extractable, sampled_suffixes
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler
from tests.engines.any_engine import examples_of
from tests.engines.transformers.test_sampling import by_generate
from tests.scoring.stored_files import digests_by_file

EXTRACTION = Extraction(50, 50, 100)
SAMPLERS = [Sampler(0.02), Sampler(0.5, 5), Sampler(top_k=1)]
DRAWS = Draws(100, 0.5)


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """24 rows, every other one recited by the tiny model, and copies of the first four."""
    path = tmp_path_factory.mktemp("sampled") / "rows.npy"
    np.save(path, np.concatenate([recited_rows[:24], recited_rows[:4]]))
    return path


@pytest.fixture(scope="module")
def scored(tiny, data, tmp_path_factory):
    """The table of all metrics, and the store."""
    root = tmp_path_factory.mktemp("scored")
    return score(Model(str(tiny)), TrainingSet(str(data)), EXTRACTION, ScoreStore(root)), root


def test_what_is_possible_is_scored_once_under_every_sampler(tiny, data, scored):
    table, root = scored
    rows = sampled_suffixes(table, SAMPLERS, DRAWS, ScoreStore(root))
    possible = np.logical_or.reduce([may_be_extractable(table, sampler, DRAWS) for sampler in SAMPLERS])
    ids = np.load(data)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    for of_sampler in rows:
        assert of_sampler.schema == SAMPLED_SCHEMA
        assert of_sampler["example_id"].to_pylist() == np.flatnonzero(possible[:24]).tolist(), "each distinct one once"
    for at in range(0, len(rows[0]), 5):
        suffix = torch.from_numpy(ids[rows[0]["example_id"][at].as_py()]).long()
        expected = by_generate(model, suffix, SAMPLERS, 50, 50)
        for of_sampler, value in zip(rows, expected, strict=True):
            assert of_sampler["least"][at].as_py() - 1e-3 <= value <= of_sampler["most"][at].as_py() + 1e-3


def test_what_the_pass_rules_out_is_not_extractable(tiny, data, scored):
    """Every example by the model's own processors: none that was left out reaches the threshold."""
    table, _ = scored
    ids = np.load(data)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    sampler = SAMPLERS[0]
    is_possible = may_be_extractable(table, sampler, DRAWS)[:24]
    assert 0 < is_possible.sum() < 24
    for example in examples_of(ids[:24])[1::6]:
        if not is_possible[example.position]:
            suffix = torch.from_numpy(example.ids).long()
            assert by_generate(model, suffix, [sampler], 50, 50)[0] < DRAWS.least_logprob


def test_what_is_stored_is_read_without_a_model(scored, no_model_loads):
    table, root = scored
    first, files = sampled_suffixes(table, SAMPLERS, DRAWS, ScoreStore(root)), digests_by_file(root)
    no_model_loads()
    again = sampled_suffixes(table, SAMPLERS, DRAWS, ScoreStore(root))
    assert all(rows.equals(expected) for rows, expected in zip(again, first, strict=True))
    assert digests_by_file(root) == files


def test_another_sampler_has_rows_of_its_own(scored):
    table, root = scored
    cold, warm = (sampled_suffixes(table, [Sampler(each)], Draws(1, 0.9), ScoreStore(root))[0] for each in (0.1, 0.2))
    assert len(set(cold["logprob"].to_pylist()) & set(warm["logprob"].to_pylist())) < len(cold)


def test_no_model_runs_where_nothing_is_possible(make_model, data, tmp_path, no_model_loads):
    store = ScoreStore(tmp_path)
    table = score(Model(str(make_model(seed=5))), TrainingSet(str(data)), EXTRACTION, store)
    no_model_loads()
    assert [len(rows) for rows in sampled_suffixes(table, [Sampler(0.01)], Draws(1, 0.5), store)] == [0]


def test_a_set_that_changed_since_it_was_scored_is_refused(tiny, data, tmp_path):
    path, store = tmp_path / "rows.npy", ScoreStore(tmp_path / "store")
    np.save(path, np.load(data)[:20])
    table = score(Model(str(tiny)), TrainingSet(str(path)), EXTRACTION, store)
    np.save(path, np.load(data)[5:25])
    with pytest.raises(EngineError, match="to read again are missing or changed"):
        sampled_suffixes(table, SAMPLERS, DRAWS, store)


@pytest.mark.slow
def test_what_is_extractable_is_drawn_as_often_as_its_probability_says(shipped, tmp_path):
    """100 real draws of each of some examples of a shipped model, by `generate`; a minute."""
    folder, sampler = shipped / "models/pythia/student", Sampler(0.8, 40, 0.95)
    training_set = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=400)
    store, extraction = ScoreStore(tmp_path), Extraction(50, 50, 100)
    table = score(Model(str(folder)), training_set, extraction, store)
    rows = sampled_suffixes(table, [sampler], DRAWS, store)[0]
    extractable = Extractable(Memorization("student", table), DRAWS, DeployedSampler(sampler, "here"), rows)
    probabilities = {row["example_id"]: np.exp(row["logprob"]) for row in rows.to_pylist()}
    chosen = extractable.examples[:12]
    assert len(chosen) >= 8
    examples = examples_at(table, set(chosen), offline=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    settings = GenerationConfig(
        do_sample=True, temperature=0.8, top_k=40, top_p=0.95, max_new_tokens=50, num_return_sequences=100
    )
    torch.manual_seed(0)
    found = 0
    for position in chosen:
        ids = torch.from_numpy(examples[position].ids[:100].astype(np.int64))
        model.generation_config = GenerationConfig()  # no token ends a sample
        drawn = model.generate(ids[None, :50], attention_mask=torch.ones(1, 50), generation_config=settings)
        hits = int((drawn == ids).all(dim=1).sum())
        found += hits > 0
        assert lower_bound(hits, 100, 0.9999) <= probabilities[position] <= upper_bound(hits, 100, 0.9999)
    within_100 = [1 - (1 - min(probabilities[position], 1)) ** 100 for position in chosen]
    assert min(within_100) >= 0.5
    spread = 4 * np.sqrt(sum(each * (1 - each) for each in within_100))
    assert abs(found - sum(within_100)) <= spread + 1e-9
