"""Whatever becomes of workers, nodes and driver, the store ends in the same bytes; what cannot run says so soon."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.scoring.executors import ray as executor
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

ray = pytest.importorskip("ray")

EXTRACTION = Extraction(50, 50, 100)
RAY = RunSettings(executor="ray", examples_per_shard=8)
SHARDS = 13
FLOATS = ["margin", "logprob", "nll", "entropy"]

# A run with a cluster of its own that can be killed: it tells of each shard that is stored.
CHILD = """
import sys
from pathlib import Path
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.scoring.score import score
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.scoring.store import ScoreStore

class Telling(ScoreStore):
    def _write(self, path, content):
        super()._write(path, content)
        print(path, flush=True)

score(Model(sys.argv[1]), TrainingSet(sys.argv[2]), Extraction(50, 50, 100), Telling(Path(sys.argv[3])),
      settings=RunSettings(executor="ray", workers=1, examples_per_shard=8))
"""


@pytest.fixture(scope="module")
def data(tiny, recited_ids, tmp_path_factory) -> Path:
    """100 rows of 100 ids, every other one recited by the tiny model."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, recited_ids(tiny, examples=100))
    return path


@pytest.fixture
def alone(monkeypatch):
    """No cluster but what a run starts itself."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if ray.is_initialized():
        ray.shutdown()


@pytest.fixture(scope="module")
def shared():
    """A cluster of two nodes of a CPU each, one of which can be removed."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else whatever runs beside the tests goes before them
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.extra = cluster.add_node(num_cpus=1)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def on_cluster(shared, monkeypatch):
    """Runs reach the shared cluster by its address."""
    monkeypatch.setenv("RAY_ADDRESS", shared.address)
    return shared


@pytest.fixture(scope="module")
def undisturbed(shared, tiny, data, tmp_path_factory) -> tuple[dict[str, str], list[dict[str, object]]]:
    """The bytes and rows of one worker's run."""
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", shared.address)
        table = run(tiny, data, root, workers=1)
    return contents(root), table.rows.to_pylist()


def contents(root: Path) -> dict[str, str]:
    """Every stored file and its bytes' digest."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".json"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(tiny, data, root, *, store=ScoreStore, **changed):
    settings = replace(RAY, **changed)
    return score(Model(str(tiny)), TrainingSet(str(data)), EXTRACTION, store(root), settings=settings)


def living_workers() -> set[int]:
    """Process ids of workers on this machine; a zombie is none."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_text().startswith("ray::RayWorker"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def gone(seconds: float = 15.0) -> bool:
    """Whether every worker is gone within some time."""
    until = time.monotonic() + seconds
    while living_workers() and time.monotonic() < until:
        time.sleep(0.1)
    return not living_workers()


def disturbing(what, after: int):
    """A store that does something once so many shards were written, and counts how often each is."""

    class Disturbing(ScoreStore):
        written: ClassVar[list[str]] = []

        def write_shard(self, key, shard, table):
            super().write_shard(key, shard, table)
            self.written.append(shard)
            if len(self.written) == after:
                what()

    return Disturbing


def test_two_workers_give_the_bytes_of_one_and_the_verdicts_of_none(
    on_cluster, undisturbed, tiny, data, tmp_path, capfd
):
    """Where 50 are asked for and there is room for two."""
    seen: set[int] = set()
    store = disturbing(lambda: seen.update(living_workers()), after=2)
    table = run(tiny, data, tmp_path / "two", workers=50, store=store)
    assert len(seen) == 2
    assert contents(tmp_path / "two") == undisturbed[0]
    assert table.rows.to_pylist() == undisturbed[1]
    assert len([name for name in undisturbed[0] if name.endswith(".parquet")]) == SHARDS
    local = run(tiny, data, tmp_path / "local", executor="local").rows
    for name in ("digest", "memorized", "first_miss", "zlib_bytes"):
        assert local[name].to_pylist() == table.rows[name].to_pylist()
    assert table.rows["memorized"].to_pylist() == [True, False] * 50
    assert gone()
    assert capfd.readouterr() == ("", "")


def test_two_models_side_by_side_are_scored_as_in_this_process(on_cluster, tiny, make_model, data, tmp_path):
    models = Model(str(tiny)), Model(str(make_model("olmo2", seed=4)))
    found = [
        score_pair(*models, TrainingSet(str(data)), EXTRACTION, ScoreStore(tmp_path / executor), settings=settings)
        for executor, settings in (("ray", replace(RAY, workers=2)), ("local", replace(RAY, executor="local")))
    ]
    by_ray, here = found
    assert by_ray.teacher.rows["memorized"].to_pylist() == [True, False] * 50
    for side in ("teacher", "baseline"):
        assert getattr(by_ray, side).rows.drop_columns(FLOATS).equals(getattr(here, side).rows.drop_columns(FLOATS))
    np.testing.assert_allclose(by_ray.kl["kl"].to_numpy(), here.kl["kl"].to_numpy(), rtol=1e-4)


def test_a_worker_killed_on_the_way_costs_its_shards_only(on_cluster, undisturbed, tiny, data, tmp_path, monkeypatch):
    scored: list[int] = []
    give = executor._Pool._give

    def counted(self, worker, shard):
        scored.append(shard.examples[0].position)
        give(self, worker, shard)

    monkeypatch.setattr(executor._Pool, "_give", counted)
    store = disturbing(lambda: os.kill(min(living_workers()), signal.SIGKILL), after=3)
    run(tiny, data, tmp_path, workers=2, store=store)
    assert contents(tmp_path) == undisturbed[0]
    assert sorted(store.written) == sorted(set(store.written))
    assert set(scored) == set(range(0, 100, 8))
    assert len(scored) <= SHARDS + executor.SHARDS_PER_WORKER


def test_what_kills_worker_after_worker_ends_the_run(on_cluster, tiny, data, tmp_path, monkeypatch):
    give = executor._Pool._give

    def poisoned(self, worker, shard):
        if shard.examples[0].position == 16:
            self._ray.kill(worker.actor)
        give(self, worker, shard)

    monkeypatch.setattr(executor._Pool, "_give", poisoned)
    monkeypatch.setattr(executor, "SHARDS_PER_WORKER", 1)
    monkeypatch.setattr(executor, "MOST_LOSSES", 2)
    with pytest.raises(EngineError, match=r"and 2 died at examples 16 to 23 of model .*look at the memory") as raised:
        run(tiny, data, tmp_path, workers=1)
    assert "\n" not in str(raised.value)
    assert gone()


def test_a_driver_killed_on_the_way_is_taken_up_by_another_number_of_workers(
    on_cluster, undisturbed, tiny, data, tmp_path
):
    command = [sys.executable, "-c", CHILD, str(tiny), str(data), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
    assert child.stdout is not None
    for _ in range(3):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert gone()
    assert run(tiny, data, tmp_path, workers=2).scored_now <= 100 - 2 * 8
    assert contents(tmp_path) == undisturbed[0]


def test_a_models_error_is_one_sentence(on_cluster, make_model, data, tmp_path):
    broken = make_model("pythia", seed=3)
    weights = load_file(broken / "model.safetensors")
    weights["gpt_neox.final_layer_norm.weight"][:] = np.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="it gives NaN or infinity") as raised:
        run(broken, data, tmp_path, workers=1)
    assert type(raised.value) is EngineError
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert gone()


def test_a_model_that_is_another_on_the_node_is_refused(on_cluster, make_model, data, tmp_path, monkeypatch):
    model = make_model("pythia", seed=4)
    room = executor._Pool._room

    def changed_meanwhile(self):
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "rotary_pct": 0.5}))
        return room(self)

    monkeypatch.setattr(executor._Pool, "_room", changed_meanwhile)
    with pytest.raises(EngineError, match=r"the same on node .*, and another lies there .*folder that all nodes share"):
        run(model, data, tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_fault_in_the_corpus_comes_through_and_ends_the_workers(on_cluster, tiny, sentences, tmp_path):
    lines = [json.dumps({"text": " ".join([text] * 3)}) for text in [*sentences, *sentences, *sentences]]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, "{"]))
    with pytest.raises(DataError, match=r"line 361 of .*malformed"):
        run(tiny, tmp_path / "rows.jsonl", tmp_path / "store", workers=1)
    assert list((tmp_path / "store").rglob("*.parquet"))
    assert gone()


def test_a_run_that_is_left_ends_its_workers(on_cluster, tiny, data, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny, data, tmp_path, workers=1, store=disturbing(interrupt, after=2))
    assert gone()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cpus_per_worker": 3}, r"node with 3 CPUs .*found nodes of at most 1: .*--kdmem-cpus-per-worker"),
        ({"device": "cuda", "dtype": "float32"}, r"node with 1 GPUs .*found nodes of at most 0: .*--kdmem-device cpu"),
    ],
)
def test_workers_that_fit_nowhere_are_refused_at_once(on_cluster, tiny, data, tmp_path, changed, message):
    with pytest.raises(EngineError, match=message):
        run(tiny, data, tmp_path, **changed)


def test_workers_that_find_no_room_are_not_waited_for_without_end(on_cluster, tiny, data, tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "SECONDS_TO_BE_PLACED", 2.0)
    from pytest_kdmem.scoring.executors.ray_cluster import cluster

    @ray.remote(num_cpus=1)
    class Other:
        def ready(self):
            pass

    with cluster():
        others = [Other.remote() for _ in range(2)]
        ray.get([other.ready.remote() for other in others])
        with pytest.raises(EngineError, match=r"find 1 CPUs .*within 2 s, and others hold them \(0 free in all\)"):
            run(tiny, data, tmp_path)


def test_a_lost_node_costs_its_workers_only(on_cluster, undisturbed, tiny, data, tmp_path):
    store = disturbing(lambda: on_cluster.remove_node(on_cluster.extra, allow_graceful=False), after=3)
    run(tiny, data, tmp_path, store=store)
    on_cluster.extra = on_cluster.add_node(num_cpus=1)
    assert contents(tmp_path) == undisturbed[0]


def test_a_cluster_of_its_own_is_shut_down_after_the_run(alone, undisturbed, tiny, data, tmp_path, capfd, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir("/")
    run(tiny, data, tmp_path, workers=1)
    assert contents(tmp_path) == undisturbed[0]
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert capfd.readouterr() == ("", "")


def test_without_ray_it_is_told_how_to_get_it(tiny, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"not installed .*pip install 'pytest-kdmem\[ray\]'"):
        run(tiny, data, tmp_path)


def test_an_address_where_nothing_listens_is_told_soon(alone, tiny, data, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(EngineError, match=rf"RAY_ADDRESS={address}, and nothing answers there .*or unset it") as raised:
        run(tiny, data, tmp_path)
    assert time.monotonic() - began < 10
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("address", ["nowhere", "auto"])
def test_an_address_that_is_none_is_told(alone, tiny, data, tmp_path, monkeypatch, address):
    if address == "auto":
        from ray._private import services

        monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(EngineError, match=rf"RAY_ADDRESS={address}, and it cannot be used"):
        run(tiny, data, tmp_path)


def test_what_another_package_raises_in_a_worker_is_one_sentence_without_its_text(shared):
    """Its text may hold what it was given."""

    def breaks():
        raise RuntimeError("the text that was scored")

    ray.init(shared.address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    pool = executor._Pool.__new__(executor._Pool)
    reference = ray.remote(num_cpus=0)(breaks).remote()
    pool._ray, pool._doing = ray, {reference: (None, None)}
    pool._task = SimpleNamespace(jobs=[SimpleNamespace(model=Model("mine"))])
    try:
        with pytest.raises(EngineError, match="for model mine, and RuntimeError was raised there; run it") as raised:
            pool._result(reference)
    finally:
        ray.shutdown()
    assert "\n" not in str(raised.value)
    assert "the text" not in str(raised.value)
    assert raised.value.__cause__ is None
