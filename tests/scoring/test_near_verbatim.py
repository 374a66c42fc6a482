"""Near-verbatim rows of a whole training set, against decoding every example to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.engines.transformers.decoding import decode_greedily
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.near_verbatim import NEAR_SCHEMA, near_verbatim
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.runtime import RunSettings
from tests.scoring.stored_files import digests_by_file

EXTRACTION = Extraction(50, 50, 100)
SMALL_SHARDS = RunSettings(examples_per_shard=16)


def altered(ids: np.ndarray) -> np.ndarray:
    """Rows of which each suffix has up to eight other tokens, at places that come earlier in later rows."""
    ids = ids.copy()
    for row in range(len(ids)):
        for edit in range(row % 9):
            ids[row, 99 - (row + 5 * edit) % 50] = 299 - edit
    return ids


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """56 rows, 45 of which a tiny model recites but for some edits; the last three are copies of the first."""
    rows = np.concatenate([altered(recited_rows[::2]), recited_rows[1:17:2]])
    path = tmp_path_factory.mktemp("near") / "rows.npy"
    np.save(path, np.concatenate([rows, rows[:3]]))
    return path


@pytest.fixture(scope="module")
def expected(tiny, data) -> list[bool]:
    """Verdicts by `generate` and rapidfuzz."""
    from transformers import AutoModelForCausalLM

    rows = np.load(data)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    continuations = decode_greedily(model, torch.from_numpy(rows[:, :50].astype(np.int64)), 50).tolist()
    pairs = zip(continuations, rows[:, 50:].tolist(), strict=True)
    return [Levenshtein.normalized_distance(*pair) <= 0.1 for pair in pairs]


def scored(model: Path, data: Path, root: Path, **options):
    return score(
        Model(str(model)), TrainingSet(str(data)), EXTRACTION, ScoreStore(root), settings=SMALL_SHARDS, **options
    )


def near(scores, root: Path, nearness: Nearness | None = None, settings: RunSettings = SMALL_SHARDS):
    return near_verbatim(scores, nearness or Nearness(), ScoreStore(root), settings=settings)


@pytest.mark.parametrize("metrics", ["verdict", "all"])
def test_every_row_is_that_of_decoding_it_to_its_end(tiny, data, expected, tmp_path, metrics):
    scores = scored(tiny, data, tmp_path, metrics=metrics)
    rows = near(scores, tmp_path)
    assert rows.schema == NEAR_SCHEMA
    assert rows["example_id"].equals(scores.rows["example_id"])
    assert rows["digest"].equals(scores.rows["digest"])
    ambiguous = rows["ambiguous"].to_numpy()
    assert ambiguous.sum() <= 2
    assert (rows["near"].to_numpy() == expected)[~ambiguous].all()
    recited = int(sum(scores.rows["memorized"].to_pylist()))
    assert recited < sum(expected) < len(expected)


def test_what_is_stored_is_read_without_a_model(tiny, data, tmp_path, no_model_loads):
    scores = scored(tiny, data, tmp_path, metrics="verdict")
    first, files = near(scores, tmp_path), digests_by_file(tmp_path)
    no_model_loads()
    assert near(scores, tmp_path).equals(first)
    assert digests_by_file(tmp_path) == files
    assert near(scores, tmp_path, Nearness(0.101)).equals(first), "so many edits are the same five"


def test_a_run_goes_on_where_another_ended(tiny, data, tmp_path):
    class Full(ScoreStore):
        """Ends the run after two shards."""

        written = 0

        def write_shard(self, key, shard, table):
            if self.written == 2:
                raise KeyboardInterrupt
            self.written += 1
            super().write_shard(key, shard, table)

    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    rows = near(scored(tiny, data, whole, metrics="verdict"), whole)
    scores = scored(tiny, data, resumed, metrics="verdict")
    with pytest.raises(KeyboardInterrupt):
        near_verbatim(scores, Nearness(), Full(resumed), settings=SMALL_SHARDS)
    decoded: list[int] = []

    class Counting(Silent):
        def advance(self, examples):
            decoded.append(examples)

    assert near_verbatim(scores, Nearness(), ScoreStore(resumed), settings=SMALL_SHARDS, progress=Counting()).equals(
        rows
    )
    assert sum(decoded) == len(rows)
    assert digests_by_file(resumed) == digests_by_file(whole)


class Silent(NoProgress):
    def start(self, what, total):
        pass

    def advance(self, examples):
        pass

    def finish(self):
        pass


def test_another_distance_or_run_is_stored_apart(tiny, data, tmp_path):
    scores = scored(tiny, data, tmp_path, metrics="verdict")
    counts = [
        sum(near(scores, tmp_path, nearness)["near"].to_pylist())
        for nearness in (Nearness(0.0), Nearness(0.1), Nearness(0.2), Nearness(0.0, run=20))
    ]
    assert counts[0] < counts[1] < counts[2]
    assert counts[0] < counts[3]


def test_examples_that_are_too_short_have_no_verdict(tiny, sentences, write_jsonl, tmp_path):
    texts = TrainingSet(write_jsonl(["cedar", *sentences[:3]]))
    scores = score(Model(str(tiny)), texts, Extraction(10, 10, 20), ScoreStore(tmp_path), metrics="verdict")
    rows = near_verbatim(scores, Nearness(), ScoreStore(tmp_path))
    assert rows["near"].to_pylist()[0] is None
    assert None not in rows["near"].to_pylist()[1:]


def test_a_set_that_changed_since_it_was_scored_is_refused(tiny, data, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.load(data)[:20])
    scores = scored(tiny, path, tmp_path / "store", metrics="verdict")
    np.save(path, np.load(data)[5:25])
    with pytest.raises(EngineError, match="were expected as they were scored, and they have changed"):
        near(scores, tmp_path / "store")


def test_a_run_longer_than_the_suffix_is_refused(tiny, data, tmp_path):
    with pytest.raises(SpecError, match="at most the 50 tokens"):
        near(scored(tiny, data, tmp_path, metrics="verdict"), tmp_path, Nearness(run=51))
