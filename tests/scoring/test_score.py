"""Scores land once, whatever happens on the way: killed, corrupted, repeated, or asked for again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.base.progress import NoProgress
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.scoring.score import check_positions, score, settings_by_engine
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA, WINDOW_SCHEMA
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.scoring.stored_files import digests_by_file

ROOT = Path(__file__).parents[2]
EXTRACTION = Extraction(50, 50, 100)
SMALL_SHARDS = RunSettings(examples_per_shard=8)
ROWS = 60


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """60 rows of 100 ids, every other one recited by the tiny model, the last 10 copies of the first."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.concatenate([recited_rows[:50], recited_rows[:10]]))
    return path


def run(model: Path, data: Path, root: Path, **options):
    settings = options.pop("settings", SMALL_SHARDS)
    return score(Model(str(model)), TrainingSet(str(data)), EXTRACTION, ScoreStore(root), settings=settings, **options)


@pytest.fixture(scope="module")
def whole_run(tiny, data, tmp_path_factory):
    """The table and the store of an undisturbed run of all metrics."""
    root = tmp_path_factory.mktemp("whole")
    return run(tiny, data, root), root


@pytest.fixture
def store_copy(whole_run, tmp_path) -> Path:
    return shutil.copytree(whole_run[1], tmp_path / "copy")


def test_the_table_has_the_promised_columns_and_a_row_per_example(whole_run):
    rows = whole_run[0].rows
    assert rows.schema.names == [*SCHEMA.names, *WINDOW_SCHEMA.names]
    assert rows["example_id"].to_pylist() == list(range(ROWS))
    assert rows["memorized"].to_pylist() == [True, False] * (ROWS // 2)
    assert rows["zlib_bytes"].null_count == 0


def test_rows_of_a_repeated_example_are_the_same(whole_run):
    rows = whole_run[0].rows.drop_columns(["example_id"]).to_pylist()
    for first, copy in zip(rows[:10], rows[50:], strict=True):
        assert first["digest"] == copy["digest"]
        assert first["first_miss"] == copy["first_miss"]


def test_a_second_run_scores_nothing_and_gives_the_same_table(tiny, data, whole_run, store_copy, no_model_loads):
    first = whole_run[0]
    no_model_loads()
    again = run(tiny, data, store_copy)
    assert (first.scored_now, again.scored_now) == (ROWS, 0)
    assert again.rows.equals(first.rows)
    assert again.tolerance == first.tolerance


def test_an_open_checkpoint_is_not_opened_again(tiny, data, whole_run, store_copy, tmp_path):
    """The folder is gone, and only a checkpoint that was opened before stands for it."""
    folder = shutil.copytree(tiny, tmp_path / "model")
    checkpoint = open_checkpoint(Model(str(folder)))
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    scores = run(folder, data, store_copy, checkpoint=checkpoint)
    assert scores.scored_now == 0
    assert scores.rows.equals(whole_run[0].rows)
    with pytest.raises(SpecError, match="Weights were expected"):
        run(folder, data, store_copy)


def test_all_metrics_serve_where_verdicts_are_asked_for_and_not_the_reverse(tiny, data, store_copy, tmp_path):
    assert run(tiny, data, store_copy, metrics="verdict").scored_now == 0
    verdicts = run(tiny, data, tmp_path / "verdicts", metrics="verdict")
    assert verdicts.rows["logprob"].null_count == ROWS
    assert run(tiny, data, tmp_path / "verdicts", metrics="all").scored_now == ROWS


@pytest.mark.parametrize("changed", ["model", "data", "lengths", "dtype"])
def test_all_that_scores_depend_on_is_part_of_their_key(tiny, make_model, data, store_copy, tmp_path, changed):
    model, path, extraction = Model(str(tiny)), data, EXTRACTION
    if changed == "model":
        model = Model(str(make_model("pythia", seed=9)))
    elif changed == "data":
        path = tmp_path / "other.npy"
        np.save(path, np.load(data)[::-1])
    elif changed == "lengths":
        extraction = Extraction(49, 50, 100)
    else:
        model = Model(str(tiny), dtype="bfloat16")
    scores = score(model, TrainingSet(str(path)), extraction, ScoreStore(store_copy), settings=SMALL_SHARDS)
    assert scores.scored_now == ROWS


def test_rows_that_are_scored_already_serve_a_longer_file(tiny, data, tmp_path):
    np.save(tmp_path / "short.npy", np.load(data)[:40])
    run(tiny, tmp_path / "short.npy", tmp_path / "store")
    assert run(tiny, data, tmp_path / "store").scored_now == ROWS - 40


@pytest.mark.parametrize("damage", ["corrupted", "under the name of another"])
def test_a_damaged_shard_is_scored_again(tiny, data, whole_run, store_copy, damage):
    before = digests_by_file(store_copy)
    first, second, *_ = sorted(store_copy.rglob("*.parquet"))
    if damage == "corrupted":
        first.write_bytes(first.read_bytes()[:-9] + b"corrupted")
    else:
        shutil.copy(second, second.with_name(f"{first.name.partition('.')[0]}.{second.name.partition('.')[2]}"))
        first.unlink()
    again = run(tiny, data, store_copy)
    assert 0 < again.scored_now <= 8
    assert again.rows.equals(whole_run[0].rows)
    assert digests_by_file(store_copy) == before


@pytest.mark.parametrize("shards_before", [0, 4])
def test_killed_and_started_again_gives_the_bytes_of_an_undisturbed_run(tiny, data, whole_run, tmp_path, shards_before):
    command = [sys.executable, "-m", "tests.scoring.killable_run", str(tiny), str(data), str(tmp_path), "local"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    for _ in range(1 + shards_before):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    resumed = run(tiny, data, tmp_path)
    assert resumed.scored_now <= ROWS - 8 * max(0, shards_before - 1)
    assert digests_by_file(tmp_path) == digests_by_file(whole_run[1])


def test_text_and_its_token_ids_have_the_same_scores(tiny, sentences, write_jsonl, tmp_path):
    extraction = Extraction(10, 10, 20)
    text = TrainingSet(write_jsonl(sentences[:20]))
    ids = [example.ids for example in stream_examples(text, load_tokenizer(tiny), extraction)]
    np.save(tmp_path / "ids.npy", np.stack(ids))
    store = ScoreStore(tmp_path / "store")
    by_text = score(Model(str(tiny)), text, extraction, store)
    by_ids = score(Model(str(tiny)), TrainingSet(tmp_path / "ids.npy"), extraction, store)
    assert by_ids.rows.equals(by_text.rows)
    assert by_ids.scored_now == 0, "the same ids are the same corpus, whatever file holds them"
    for path in store.root.rglob("*"):
        assert not path.is_file() or b"cedar" not in path.read_bytes(), "the store holds no text"


def test_weights_that_change_between_digest_and_load_leave_no_scores(make_model, data, tmp_path):
    """A training job that saves over the audited folder must not pass its scores off as those of the model before."""
    folder, other = make_model("pythia", seed=11), make_model("pythia", seed=12)

    class SavesOver(NoProgress):
        def start(self, what, total):
            shutil.copy(other / "model.safetensors", folder / "model.safetensors")

        def advance(self, examples):
            pass

        def finish(self):
            pass

    with pytest.raises(EngineError, match="its files were changed while it was loaded"):
        run(folder, data, tmp_path / "store", progress=SavesOver())
    assert not list((tmp_path / "store").rglob("*.parquet"))


def test_lengths_beyond_the_positions_of_a_model_are_refused(tiny):
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)
    check_positions(model, checkpoint, Extraction(128, 128, 256))
    with pytest.raises(SpecError, match=r"At most 256 positions .* prefix-tokens and suffix-tokens ask for 257"):
        check_positions(model, checkpoint, Extraction(128, 129, 257))
    with pytest.raises(SpecError, match=r"window-tokens asks for 300; set --kdmem-window-tokens=256, or as many"):
        check_positions(model, checkpoint, Extraction(50, 50, 300))


def test_gpus_that_share_a_model_are_vllm_s_alone_where_both_engines_run():
    settings = RunSettings(engine="vllm", tensor_parallel=2, batch_size=7)
    (vllm, verdicts), (transformers, columns) = settings_by_engine(settings)
    assert (vllm, verdicts) == (settings, "verdict")
    assert (transformers, columns) == (RunSettings(engine="transformers", batch_size=7), "all")
