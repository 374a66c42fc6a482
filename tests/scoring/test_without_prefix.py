"""Suffixes after prefixes of other examples, against the model run by hand on the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.unrelated_prefixes import DRAWS, UnrelatedPrefixes, draw_pool
from pytest_kdmem.scoring.without_prefix import SUFFIX_SCHEMA, suffixes_alone
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.engines.any_engine import examples_of
from tests.scoring.stored_files import digests_by_file

EXTRACTION = Extraction(50, 50, 100)


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """24 rows, every other one recited by the tiny model, and copies of the first four."""
    path = tmp_path_factory.mktemp("alone") / "rows.npy"
    np.save(path, np.concatenate([recited_rows[:24], recited_rows[:4]]))
    return path


@pytest.fixture(scope="module")
def scored(tiny, data, tmp_path_factory):
    """The table of the verdicts, and the store."""
    root = tmp_path_factory.mktemp("scored")
    table = score(Model(str(tiny)), TrainingSet(str(data)), EXTRACTION, ScoreStore(root), metrics="verdict")
    return table, root


def test_each_recited_suffix_is_scored_after_the_prefixes_that_were_drawn(tiny, data, scored):
    from transformers import AutoModelForCausalLM

    table, root = scored
    rows = suffixes_alone(table, ScoreStore(root))
    assert rows.schema == SUFFIX_SCHEMA
    assert rows["example_id"].to_pylist() == list(range(0, 24, 2)), "each distinct recited example once"
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    examples = examples_of(np.load(data))
    prefixes = UnrelatedPrefixes([examples[at] for at in draw_pool(table.rows)], EXTRACTION)
    for row in rows.to_pylist()[:4]:
        drawn = prefixes.of(examples[row["example_id"]])
        assert len(drawn) == len(row["logprob"]) == DRAWS
        ids = torch.tensor(np.stack([[*prefix, *examples[row["example_id"]].ids[50:]] for prefix in drawn]))
        with torch.inference_mode():
            logits = model(input_ids=ids.long()).logits[:, 49:-1].double()
        logprob = torch.log_softmax(logits, -1).gather(2, ids[:, 50:, None].long())[..., 0].sum(1)
        assert row["logprob"] == pytest.approx(logprob.tolist(), rel=1e-4)
        assert row["memorized"] == (logits.argmax(-1) == ids[:, 50:]).all(1).tolist()


def test_what_is_stored_is_read_without_a_model(scored, no_model_loads):
    table, root = scored
    first, files = suffixes_alone(table, ScoreStore(root)), digests_by_file(root)
    no_model_loads()
    assert suffixes_alone(table, ScoreStore(root)).equals(first)
    assert digests_by_file(root) == files


def test_no_model_runs_where_nothing_is_recited(make_model, data, tmp_path, no_model_loads):
    store = ScoreStore(tmp_path)
    table = score(Model(str(make_model(seed=5))), TrainingSet(str(data)), EXTRACTION, store, metrics="verdict")
    assert not any(table.rows["memorized"].to_pylist())
    no_model_loads()
    assert len(suffixes_alone(table, store)) == 0


def test_a_set_that_changed_since_it_was_scored_is_refused(tiny, data, tmp_path):
    path, store = tmp_path / "rows.npy", ScoreStore(tmp_path / "store")
    np.save(path, np.load(data)[:20])
    table = score(Model(str(tiny)), TrainingSet(str(path)), EXTRACTION, store, metrics="verdict")
    np.save(path, np.load(data)[5:25])
    with pytest.raises(EngineError, match="to read again are missing or changed"):
        suffixes_alone(table, store)
