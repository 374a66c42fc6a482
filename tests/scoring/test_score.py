"""Scores land once, whatever happens on the way: killed, corrupted, repeated, or asked for again."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(50, 50, 100)
SMALL_SHARDS = RunSettings(examples_per_shard=8)

# A run that can be killed: it tells of each shard, and waits there to be killed.
CHILD = """
import sys, time
from pathlib import Path
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.scoring.score import score
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.scoring.store import ScoreStore

class Slow(ScoreStore):
    def _write(self, path, content):
        super()._write(path, content)
        print(path, flush=True)
        time.sleep(0.05)

score(Model(sys.argv[1]), TrainingSet(sys.argv[2]), Extraction(50, 50, 100), Slow(Path(sys.argv[3])),
      settings=RunSettings(examples_per_shard=8))
"""


@pytest.fixture(scope="module")
def data(tiny, recited_ids, tmp_path_factory) -> Path:
    """100 rows of 100 ids, every other one recited by the tiny model, with some repeats."""
    ids = recited_ids(tiny, examples=90)
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.concatenate([ids, ids[:10]]))
    return path


def contents(root: Path) -> dict[str, str]:
    """Every stored file and its bytes' digest."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".json"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(tiny, data, root, **how):
    return score(Model(str(tiny)), TrainingSet(str(data)), EXTRACTION, ScoreStore(root), settings=SMALL_SHARDS, **how)


def test_the_table_has_the_promised_columns_and_a_row_per_example(tiny, data, tmp_path):
    rows = run(tiny, data, tmp_path).rows
    assert rows.schema.names == SCHEMA.names
    assert rows["example_id"].to_pylist() == list(range(100))
    assert rows["memorized"].to_pylist() == [True, False] * 50
    assert rows["zlib_bytes"].null_count == 0


def test_rows_of_a_repeated_example_are_the_same(tiny, data, tmp_path):
    rows = run(tiny, data, tmp_path).rows.drop_columns(["example_id"]).to_pylist()
    for first, again in zip(rows[:10], rows[90:], strict=True):
        assert first["digest"] == again["digest"]
        assert first["first_miss"] == again["first_miss"]


def test_a_second_run_scores_nothing_and_gives_the_same_table(tiny, data, tmp_path, monkeypatch):
    first = run(tiny, data, tmp_path)
    from pytest_kdmem.engines.transformers import engine as transformers

    monkeypatch.setattr(transformers, "TransformersEngine", lambda *a, **k: pytest.fail("a model was loaded"))
    again = run(tiny, data, tmp_path)
    assert (first.scored_now, again.scored_now) == (100, 0)
    assert again.rows.equals(first.rows)
    assert again.tolerance == first.tolerance


def test_full_scores_serve_where_verdicts_are_asked_for_and_not_the_reverse(tiny, data, tmp_path):
    assert run(tiny, data, tmp_path / "a", metrics="all").scored_now == 100
    assert run(tiny, data, tmp_path / "a", metrics="verdict").scored_now == 0
    verdicts = run(tiny, data, tmp_path / "b", metrics="verdict")
    assert verdicts.rows["logprob"].null_count == 100
    assert run(tiny, data, tmp_path / "b", metrics="all").scored_now == 100


@pytest.mark.parametrize("changed", ["model", "data", "lengths", "dtype"])
def test_what_scores_depend_on_is_part_of_their_key(tiny, make_model, data, tmp_path, changed):
    run(tiny, data, tmp_path)
    model, path, extraction, settings = Model(str(tiny)), data, EXTRACTION, SMALL_SHARDS
    if changed == "model":
        model = Model(str(make_model("pythia", seed=9)))
    elif changed == "data":
        path = tmp_path / "other.npy"
        np.save(path, np.load(data)[::-1])
    elif changed == "lengths":
        extraction = Extraction(49, 50, 100)
    else:
        model = Model(str(tiny), dtype="bfloat16")
    found = score(model, TrainingSet(str(path)), extraction, ScoreStore(tmp_path), settings=settings)
    assert found.scored_now == 100


def test_rows_already_scored_serve_a_longer_file(tiny, data, tmp_path):
    ids = np.load(data)
    np.save(tmp_path / "short.npy", ids[:64])
    run(tiny, tmp_path / "short.npy", tmp_path / "store")
    assert run(tiny, data, tmp_path / "store").scored_now == 100 - 64


def test_a_damaged_shard_is_scored_again(tiny, data, tmp_path):
    whole = run(tiny, data, tmp_path)
    before = contents(tmp_path)
    shard = sorted(tmp_path.rglob("*.parquet"))[3]
    shard.write_bytes(shard.read_bytes()[:-9] + b"corrupted")
    again = run(tiny, data, tmp_path)
    assert again.scored_now == 8
    assert again.rows.equals(whole.rows)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("shards_before", [0, 1, 6])
def test_killed_and_started_again_gives_the_bytes_of_an_undisturbed_run(tiny, data, tmp_path, shards_before):
    run(tiny, data, tmp_path / "undisturbed")
    command = [sys.executable, "-c", CHILD, str(tiny), str(data), str(tmp_path / "killed")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert child.stdout is not None
    for _ in range(shards_before):
        child.stdout.readline()
    if not shards_before:
        time.sleep(3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    resumed = run(tiny, data, tmp_path / "killed")
    assert resumed.scored_now <= 100 - 8 * max(0, shards_before - 1)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_ids_of_text_and_its_tokenised_form_score_alike(tiny, sentences, write_jsonl, tmp_path):
    from pytest_kdmem.corpus.examples import load_tokenizer, stream_examples

    extraction = Extraction(10, 10, 20)
    text = TrainingSet(write_jsonl(sentences[:20]))
    ids = [example.ids for example in stream_examples(text, load_tokenizer(tiny), extraction)]
    np.save(tmp_path / "ids.npy", np.stack(ids))
    store = ScoreStore(tmp_path / "store")
    by_text = score(Model(str(tiny)), text, extraction, store)
    by_ids = score(Model(str(tiny)), TrainingSet(tmp_path / "ids.npy"), extraction, store)
    assert by_ids.rows.equals(by_text.rows)
    assert by_ids.scored_now == 0, "the same ids are the same corpus, whatever file they lie in"


def test_weights_changed_between_digest_and_load_leave_no_scores(make_model, data, tmp_path):
    """A training job that saves over the folder under audit must not lend its scores to the model before it."""
    one, other = make_model("pythia", seed=11), make_model("pythia", seed=12)

    class SavesOver:
        def start(self, what, total):
            shutil.copy(other / "model.safetensors", one / "model.safetensors")

        def advance(self, examples):
            pass

        def finish(self):
            pass

    with pytest.raises(EngineError, match="its files were changed while it was loaded"):
        run(one, data, tmp_path / "store", progress=SavesOver())
    assert not list((tmp_path / "store").rglob("*.parquet"))


def test_the_store_holds_no_text_and_no_ids(tiny, sentences, write_jsonl, tmp_path):
    score(Model(str(tiny)), TrainingSet(write_jsonl(sentences)), Extraction(10, 10, 20), ScoreStore(tmp_path / "store"))
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert b"cedar" not in path.read_bytes()


def test_a_shard_under_the_name_of_another_is_scored_again(tiny, data, tmp_path):
    whole = run(tiny, data, tmp_path)
    before = contents(tmp_path)
    one, other, *_ = sorted(tmp_path.rglob("*.parquet"))
    renamed = other.with_name(f"{one.name.partition('.')[0]}.{other.name.partition('.')[2]}")
    one.unlink()
    shutil.copy(other, renamed)
    again = run(tiny, data, tmp_path)
    assert again.scored_now == 8
    assert again.rows.equals(whole.rows)
    assert contents(tmp_path) == before


def test_rows_of_other_examples_than_were_asked_for_are_refused_and_not_stored(tiny, data, tmp_path, monkeypatch):
    from pytest_kdmem.scoring.executors.local import LocalExecutor

    right = LocalExecutor.score

    def wrong(self, job, shards, progress):
        digests, tables = zip(*right(self, job, shards, progress), strict=True)
        yield from zip(digests, tables[::-1], strict=True)

    monkeypatch.setattr(LocalExecutor, "score", wrong)
    with pytest.raises(EngineError, match="those of other examples came") as raised:
        run(tiny, data, tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.parquet"))
