"""The server process: the environment it gets, and how its progress, its silence and its end are noticed."""

from __future__ import annotations

import os
import signal
import site
import time
from pathlib import Path

import pytest

from pytest_kdmem import engines
from pytest_kdmem.engines.vllm import client
from pytest_kdmem.engines.vllm.client import server_environment
from tests.engines.vllm.any_server import request, server_of


def environment(inherited=(), *, device="cpu", tensor_parallel=1, beyond_positions=False) -> dict[str, str]:
    return server_environment(
        dict(inherited), device=device, tensor_parallel=tensor_parallel, beyond_positions=beyond_positions
    )


def test_variables_that_change_what_vllm_computes_are_not_passed_on():
    unwanted = dict.fromkeys(
        ["VLLM_ATTENTION_BACKEND", "VLLM_BATCH_INVARIANT", "VLLM_CPU_ATTN_SPLIT_KV", "VLLM_ENABLE_V1_MULTIPROCESSING"],
        "odd",
    )
    wanted = {"VLLM_CACHE_ROOT": "/c", "VLLM_HOST_IP": "1.2.3.4", "VLLM_CPU_KVCACHE_SPACE": "3", "HOME": "/h"}
    overridden = {"VLLM_PLUGINS": "odd", "VLLM_FLOAT32_MATMUL_PRECISION": "medium", "TRITON_F32_DEFAULT": "tf32"}
    variables = environment({**unwanted, **wanted, **overridden}, tensor_parallel=2)
    assert not variables.keys() & unwanted.keys()
    assert wanted.items() <= variables.items()
    assert variables["VLLM_PLUGINS"] == ""
    assert variables["VLLM_FLOAT32_MATMUL_PRECISION"] == "highest"
    assert variables["TRITON_F32_DEFAULT"] == "ieee"


def test_variables_follow_device_and_length():
    assert environment()["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert environment()["TORCHDYNAMO_DISABLE"] == "1"
    assert environment({"OMP_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "3"
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN" not in environment()
    assert environment(beyond_positions=True)["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] == "1"
    assert not environment(device="cuda").keys() & {"TORCHDYNAMO_DISABLE", "OMP_NUM_THREADS"}


def test_an_installed_package_is_not_put_before_the_standard_library(monkeypatch):
    root = str(Path(engines.__file__).resolve().parents[2])
    monkeypatch.setattr(site, "getsitepackages", lambda: [root])
    assert "PYTHONPATH" not in environment()
    assert environment({"PYTHONPATH": "/mine"})["PYTHONPATH"] == "/mine"
    monkeypatch.setattr(site, "getsitepackages", lambda: ["/elsewhere"])
    assert environment()["PYTHONPATH"] == root
    assert environment({"PYTHONPATH": "/mine"})["PYTHONPATH"] == os.pathsep.join([root, "/mine"])


# A child of the server outlives it and holds its socket.
CHILD_THAT_LIVES_ON = """
import os, sys, time
if os.fork() == 0:
    time.sleep(100)
print("RuntimeError: all is lost", flush=True)
{last}
"""


def test_the_end_of_a_process_is_noticed_though_its_child_holds_the_socket():
    server = server_of(CHILD_THAT_LIVES_ON.format(last="os._exit(3)"))
    began = time.monotonic()
    with pytest.raises(EOFError):
        request(server)
    assert time.monotonic() - began < 10
    assert server.exit_reason() == "ended with status 3"
    assert server.last_error_line() == "RuntimeError: all is lost"
    assert client._any_alive(server.pid)
    server.close(gracefully=True)
    assert not client._any_alive(server.pid)
    assert server.last_error_line() == ""
    server.close(gracefully=True)


def test_an_end_amid_an_answer_is_noticed_too():
    half_an_answer = (
        "from multiprocessing.connection import Connection; "
        'Connection(int(sys.argv[1])).send_bytes(b\'{"arrays": [["<i4", 2]]}\'); os._exit(0)'
    )
    server = server_of(CHILD_THAT_LIVES_ON.format(last=half_an_answer))
    with pytest.raises(EOFError):
        request(server)
    server.close(gracefully=False)


def test_a_killed_process_is_described_by_its_signal():
    server = server_of("import time; time.sleep(100)")
    server.kill()
    assert server.exit_reason() == f"was ended by {signal.SIGKILL.name}"
    server.close(gracefully=False)


def test_silence_is_a_timeout_and_progress_is_no_silence(monkeypatch):
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 1.0)
    server = server_of(
        """
import sys, time
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
for _ in range(4):
    time.sleep(0.5)
    connection.send_bytes(b'{"progress": 2, "arrays": []}')
connection.send_bytes(b'{"arrays": []}')
time.sleep(100)
"""
    )
    counts: list[int] = []
    assert server.request({"command": "score"}, advance=counts.append) == ({}, [])
    assert counts == [2] * 4
    with pytest.raises(TimeoutError):
        request(server)
    server.close(gracefully=False)


def test_a_process_is_asked_to_close_and_killed_if_it_does_not(tmp_path, monkeypatch):
    cleaned = tmp_path / "cleaned"
    obedient = server_of(
        f"""
import sys
from multiprocessing.connection import Connection
assert b'"close"' in Connection(int(sys.argv[1])).recv_bytes()
open({str(cleaned)!r}, "w").close()
"""
    )
    obedient.close(gracefully=True)
    assert cleaned.exists()
    monkeypatch.setattr(client, "CLOSE_TIMEOUT", 0.5)
    deaf = server_of("import time; time.sleep(100)")
    began = time.monotonic()
    deaf.close(gracefully=True)
    assert time.monotonic() - began < 5
    assert not client._any_alive(deaf.pid)


def test_the_last_error_line_is_quoted_without_the_prefix_of_vllm():
    lines = [
        "(EngineCore pid=7) ERROR 11-22 01:16:58 [core.py:843] ValueError: no such shape",
        "WARNING 11-22 01:16:58 closing",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ]
    server = server_of("\n".join(f"print({line!r})" for line in lines))
    server.exit_reason()
    assert server.last_error_line() == "ValueError: no such shape"
    server.close(gracefully=False)
