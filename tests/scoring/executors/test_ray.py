"""Whatever becomes of workers, nodes and driver, the store ends in the bytes of an undisturbed run in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.scoring.executors.ray_workers import all_gone, living_workers
from tests.scoring.stored_files import digests_by_file

pytest.importorskip("ray")

ROOT = Path(__file__).parents[3]
EXTRACTION = Extraction(50, 50, 100)
RAY = RunSettings(executor="ray", examples_per_shard=8)
ROWS = 60


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """60 rows of 100 ids, every other one recited by the tiny model: 8 shards, the last three half of copies."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    pairs = [pair for at in range(5) for pair in (4 * at, 20 + at)]
    np.save(path, recited_rows[[*range(40), *(2 * pair + at for pair in pairs for at in (0, 1))]])
    return path


@pytest.fixture(scope="module")
def undisturbed(tiny, data, tmp_path_factory) -> dict[str, str]:
    """The files of a run in this process, with one thread as the workers have."""
    root = tmp_path_factory.mktemp("undisturbed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        table = run(tiny, data, root, executor="local")
    finally:
        torch.set_num_threads(threads)
    assert table.rows["memorized"].to_pylist() == [True, False] * (ROWS // 2)
    return digests_by_file(root)


def run(model, data, root, *, store=ScoreStore, **changed):
    settings = replace(RAY, **changed)
    return score(Model(str(model)), TrainingSet(str(data)), EXTRACTION, store(root), settings=settings)


def disturbing(what, after: int):
    """A store that calls a function once so many shards are written, and notes each shard it writes."""

    class Disturbing(ScoreStore):
        written: ClassVar[list[str]] = []

        def write_shard(self, key, shard, table):
            super().write_shard(key, shard, table)
            self.written.append(shard)
            if len(self.written) == after:
                what()

    return Disturbing


def test_two_workers_give_the_bytes_of_a_run_in_this_process(on_cluster, undisturbed, tiny, data, tmp_path, capfd):
    """50 workers are asked for, and there is room for two."""
    seen: set[int] = set()
    store = disturbing(lambda: seen.update(living_workers()), after=2)
    run(tiny, data, tmp_path, workers=50, store=store)
    assert len(seen) == 2
    assert digests_by_file(tmp_path) == undisturbed
    assert all_gone()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_two_models_together_are_scored_as_in_this_process(on_cluster, tiny, make_model, data, tmp_path):
    models = Model(str(tiny)), Model(str(make_model("olmo2", seed=4)))
    by_ray, local = (
        score_pair(*models, TrainingSet(str(data)), EXTRACTION, ScoreStore(tmp_path / executor), settings=settings)
        for executor, settings in (("ray", replace(RAY, workers=1)), ("local", replace(RAY, executor="local")))
    )
    assert by_ray.teacher.rows["memorized"].to_pylist() == [True, False] * (ROWS // 2)
    rounded = ["margin", "logprob", "nll", "entropy"]  # this process may have another number of threads
    for side in ("teacher", "baseline"):
        ray_rows, local_rows = (getattr(pair, side).rows.drop_columns(rounded) for pair in (by_ray, local))
        assert ray_rows.equals(local_rows)
    np.testing.assert_allclose(by_ray.kl["kl"].to_numpy(), local.kl["kl"].to_numpy(), rtol=1e-4)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_own_shards_only(on_cluster, undisturbed, tiny, data, tmp_path):
    store = disturbing(lambda: os.kill(min(living_workers()), signal.SIGKILL), after=3)
    run(tiny, data, tmp_path, workers=2, store=store)
    assert digests_by_file(tmp_path) == undisturbed
    assert sorted(store.written) == sorted(set(store.written)), "no shard that was done is scored again"


@pytest.mark.slow
def test_a_killed_driver_s_run_is_continued_by_another_number_of_workers(on_cluster, undisturbed, tiny, data, tmp_path):
    command = [sys.executable, "-m", "tests.scoring.killable_run", str(tiny), str(data), str(tmp_path), "ray"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    for _ in range(1 + 3):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert all_gone()
    assert run(tiny, data, tmp_path, workers=2).scored_now <= ROWS - 2 * 8
    assert digests_by_file(tmp_path) == undisturbed


def test_a_models_error_is_one_sentence(on_cluster, make_model, data, tmp_path):
    broken = make_model("pythia", seed=3)
    weights = load_file(broken / "model.safetensors")
    weights["gpt_neox.final_layer_norm.weight"][:] = np.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="it gives NaN or infinity") as caught:
        run(broken, data, tmp_path, workers=1)
    # Ray itself would raise a class that it makes of ours and its own.
    assert type(caught.value).__module__ == "pytest_kdmem.errors"
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert all_gone()


def test_a_fault_in_the_corpus_is_raised_and_ends_the_workers(on_cluster, tiny, sentences, tmp_path):
    # The guard over readings draws from the first 512 documents before a shard is scored.
    lines = [json.dumps({"text": " ".join([text] * 3)}) for text in sentences * 5]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, "{"]))
    with pytest.raises(DataError, match=r"line 601 of .*malformed"):
        run(tiny, tmp_path / "rows.jsonl", tmp_path / "store", workers=1)
    assert list((tmp_path / "store").rglob("*.parquet"))
    assert all_gone()


def test_a_run_that_is_interrupted_ends_its_workers(on_cluster, tiny, data, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny, data, tmp_path, workers=1, store=disturbing(interrupt, after=2))
    assert all_gone()


@pytest.mark.slow
def test_a_lost_node_costs_its_workers_only(on_cluster, undisturbed, tiny, data, tmp_path):
    store = disturbing(lambda: on_cluster.remove_node(on_cluster.extra, allow_graceful=False), after=3)
    run(tiny, data, tmp_path, store=store)
    on_cluster.extra = on_cluster.add_node(num_cpus=1)
    assert digests_by_file(tmp_path) == undisturbed


OWN_CLUSTER = """
import logging, os, signal, sys
from pathlib import Path

import ray
import torch

from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

model, data, store = sys.argv[1:]
torch.set_num_threads(1)
handler, level = signal.getsignal(signal.SIGTERM), logging.getLogger("ray").level
settings = RunSettings(executor="ray", examples_per_shard=8, workers=1)
score(Model(model), TrainingSet(data), Extraction(50, 50, 100), ScoreStore(Path(store)), settings=settings)
assert not ray.is_initialized()
assert (signal.getsignal(signal.SIGTERM), logging.getLogger("ray").level) == (handler, level)
assert "RAY_USAGE_STATS_ENABLED" not in os.environ
"""


def test_a_cluster_of_the_run_s_own_is_shut_down_and_leaves_the_process_as_it_was(undisturbed, tiny, data, tmp_path):
    """From another working directory, with a path to the model that is relative to it."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", OWN_CLUSTER, tiny.name, str(data), str(tmp_path)]
    run_alone = subprocess.run(command, cwd=tiny.parent, env=environment, capture_output=True, text=True)
    assert (run_alone.returncode, run_alone.stdout, run_alone.stderr) == (0, "", "")
    assert digests_by_file(tmp_path) == undisturbed
