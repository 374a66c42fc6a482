"""The process beside this one: what it is told and shown, and how its end and its silence are noticed."""

from __future__ import annotations

import json
import os
import signal
import site
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="vLLM brings it along")

from pytest_kdmem import engines
from pytest_kdmem.engines.vllm import client as vllm_child
from pytest_kdmem.engines.vllm.client import Child, environment
from pytest_kdmem.engines.vllm.engine import NO_MEMORY, VllmEngine
from pytest_kdmem.engines.vllm.folder import link_checkpoint
from pytest_kdmem.errors import EngineError, SpecError


def told(inherited=(), **changed):
    return environment(dict(inherited), **{"device": "cpu", "tensor_parallel": 1, "beyond_positions": False, **changed})


def child_of(script: str) -> Child:
    return Child([sys.executable, "-c", script], dict(os.environ))


def ask(child: Child):
    return child.ask({"do": "anything"}, advance=lambda rows: None)


def test_variables_that_change_what_vllm_computes_are_not_passed_on():
    unwanted = dict.fromkeys(
        ["VLLM_ATTENTION_BACKEND", "VLLM_BATCH_INVARIANT", "VLLM_CPU_ATTN_SPLIT_KV", "VLLM_ENABLE_V1_MULTIPROCESSING"],
        "odd",
    )
    wanted = {"VLLM_CACHE_ROOT": "/c", "VLLM_HOST_IP": "1.2.3.4", "VLLM_CPU_KVCACHE_SPACE": "3", "HOME": "/h"}
    overridden = {"VLLM_PLUGINS": "odd", "VLLM_FLOAT32_MATMUL_PRECISION": "medium", "TRITON_F32_DEFAULT": "tf32"}
    found = told({**unwanted, **wanted, **overridden}, tensor_parallel=2)
    assert not found.keys() & unwanted.keys()
    assert wanted.items() <= found.items()
    assert found["VLLM_PLUGINS"] == ""
    assert found["VLLM_FLOAT32_MATMUL_PRECISION"] == "highest"
    assert found["TRITON_F32_DEFAULT"] == "ieee"


def test_what_the_process_is_told_follows_device_and_length():
    assert told()["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert told()["TORCHDYNAMO_DISABLE"] == "1"
    assert told({"OMP_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "3"
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN" not in told()
    assert told(beyond_positions=True)["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] == "1"
    assert not told(device="cuda").keys() & {"TORCHDYNAMO_DISABLE", "OMP_NUM_THREADS"}


def test_an_installed_package_is_not_put_before_the_standard_library(monkeypatch):
    root = str(Path(engines.__file__).resolve().parents[2])
    monkeypatch.setattr(site, "getsitepackages", lambda: [root])
    assert "PYTHONPATH" not in told()
    assert told({"PYTHONPATH": "/mine"})["PYTHONPATH"] == "/mine"
    monkeypatch.setattr(site, "getsitepackages", lambda: ["/elsewhere"])
    assert told()["PYTHONPATH"] == root
    assert told({"PYTHONPATH": "/mine"})["PYTHONPATH"] == os.pathsep.join([root, "/mine"])


def test_only_the_weights_of_transformers_are_shown(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    beside = [
        "model_ema.safetensors",
        "consolidated.safetensors",
        "params.json",
        "tokenizer.json",
        "generation_config.json",
    ]
    for name in ["config.json", *shards, *beside]:
        (folder / name).write_text(name)
    index = {"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    def shown(name: str) -> set[str]:
        link_checkpoint(folder, tmp_path / name)
        assert all(file.read_text() == (folder / file.name).read_text() for file in (tmp_path / name).iterdir())
        return {file.name for file in (tmp_path / name).iterdir()}

    assert shown("sharded") == {"config.json", "model.safetensors.index.json", *shards}
    (folder / "model.safetensors").write_text("whole")
    assert shown("whole") == {"config.json", "model.safetensors"}
    (folder / "model.safetensors").unlink()
    (folder / shards[1]).unlink()
    with pytest.raises(SpecError, match=shards[1]):
        shown("missing")


HEIR = """
import os, sys, time
if os.fork() == 0:
    time.sleep(100)  # and holds the socket
print("RuntimeError: all is lost", flush=True)
{last}
"""


def test_the_end_of_a_process_is_seen_though_its_heir_holds_the_socket():
    child = child_of(HEIR.format(last="os._exit(3)"))
    began = time.monotonic()
    with pytest.raises(EOFError):
        ask(child)
    assert time.monotonic() - began < 10
    assert child.ending() == "ended with status 3"
    assert child.last_line() == "RuntimeError: all is lost"
    assert vllm_child._any_alive(child.pid)
    child.close(politely=True)
    assert not vllm_child._any_alive(child.pid)
    assert child.last_line() == ""
    child.close(politely=True)


def test_the_end_amid_an_answer_is_seen_too():
    amid = (
        "from multiprocessing.connection import Connection; "
        'Connection(int(sys.argv[1])).send_bytes(b\'{"arrays": [["<i4", 2]]}\'); os._exit(0)'
    )
    child = child_of(HEIR.format(last=amid))
    with pytest.raises(EOFError):
        ask(child)
    child.close(politely=False)


def test_silence_is_ended_and_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr(vllm_child, "LONGEST_SILENCE", 1.0)
    engine = VllmEngine.__new__(VllmEngine)
    engine._name, engine._device = "m", "cpu"
    engine._child = child_of("import time; time.sleep(100)")
    with pytest.raises(EngineError, match=r"told nothing for .* minutes and was ended"):
        engine._ask({"do": "score"})
    assert not vllm_child._any_alive(engine._child.pid)
    assert engine._child.ending() == f"was ended by {signal.SIGKILL.name}"
    engine._child.close(politely=False)


def test_progress_is_heard_and_no_silence(monkeypatch):
    monkeypatch.setattr(vllm_child, "LONGEST_SILENCE", 3.0)
    child = child_of(
        """
import sys, time
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
for _ in range(4):
    time.sleep(1)
    connection.send_bytes(b'{"done": 2, "arrays": []}')
connection.send_bytes(b'{"arrays": []}')
time.sleep(100)
"""
    )
    heard = []
    assert child.ask({"do": "score"}, advance=heard.append) == ({}, [])
    assert heard == [2] * 4
    child.close(politely=False)


def test_a_process_that_is_asked_politely_ends_by_itself_and_one_that_does_not_is_killed(tmp_path, monkeypatch):
    cleaned = tmp_path / "cleaned"
    obeying = child_of(
        f"""
import sys
from multiprocessing.connection import Connection
assert b'"close"' in Connection(int(sys.argv[1])).recv_bytes()
open({str(cleaned)!r}, "w").close()
"""
    )
    obeying.close(politely=True)
    assert cleaned.exists()
    monkeypatch.setattr(vllm_child, "POLITENESS", 0.5)
    deaf = child_of("import time; time.sleep(100)")
    began = time.monotonic()
    deaf.close(politely=True)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "reason",
    [
        "ValueError: Free memory on device cuda:0 (1.2/79.1 GiB) on startup is less than desired GPU memory",
        "ValueError: To serve at least one request with the model's max seq len (101), (9.1 GiB KV cache is needed,"
        " which is larger than the available KV cache memory (1.0 GiB).",
        "ValueError: No available memory for the cache blocks.",
        "torch.OutOfMemoryError: CUDA out of memory.",
    ],
)
def test_memory_that_is_not_there_is_told_as_such_by_whichever_process(reason):
    engine = VllmEngine.__new__(VllmEngine)
    engine._name, engine._device = "m", "cuda"
    elsewhere = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    logged = [f"(EngineCore pid=7) ERROR 11-22 01:16:58 [core.py:843] {reason}", elsewhere]
    engine._child = child_of(f"print({logged[0]!r}); print({logged[1]!r})")
    engine._child.ending()
    dead = "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
    for said in (reason, elsewhere, dead):
        message = str(engine._failed(said))
        assert "runs out of memory" in message
        assert reason in message
        assert "end what else holds memory" in message
    engine._child.close(politely=False)
    assert not NO_MEMORY.search("ValueError: no such architecture")
