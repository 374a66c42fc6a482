"""The server process itself, up to where it needs vLLM: its module name, its answers and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest
from safetensors.numpy import load_file, save_file

from pytest_kdmem.engines.vllm import client
from pytest_kdmem.engines.vllm.client import ServerProcess, server_environment
from pytest_kdmem.engines.vllm.engine import SERVER_MODULE

OPEN = {"command": "open", "name": "mine", "device": "cpu", "dtype": "float32", "longest_tokens": 50, "batch_size": 4}
STARTER = """
import os, sys, threading, time
from tests.engines.vllm.test_server import start_server
server = start_server()
if sys.argv[1] == "busy":
    request = {"command": "open", "folder": "/nowhere", "dtype": "float32", "name": "m"}
    threading.Thread(target=server.request, args=(request,), kwargs={"advance": print}, daemon=True).start()
    time.sleep(0.5)
print(server.pid, flush=True)
os._exit(1)
"""


def start_server() -> ServerProcess:
    environment = server_environment(os.environ, device="cpu", tensor_parallel=1, beyond_positions=False)
    return ServerProcess([sys.executable, "-P", "-m", SERVER_MODULE], environment)


def test_weights_that_are_missing_are_refused_and_the_server_goes_on_until_it_is_closed(make_model):
    folder = make_model("qwen3", seed=6)
    weights = load_file(folder / "model.safetensors")
    missing = next(name for name in weights if "k_proj" in name)
    save_file(
        {name: weight for name, weight in weights.items() if name != missing},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    server = start_server()
    try:
        for _ in range(2):
            answer, arrays = server.request({**OPEN, "folder": str(folder)}, advance=print)
            assert answer["refusal"].startswith("All weights of Qwen3ForCausalLM were expected in mine; 1 are missing")
            assert missing in answer["refusal"]
            assert arrays == []
        answer, _ = server.request({**OPEN, "folder": str(folder / "none")}, advance=print)
        assert answer["failure"]
        assert "\n" not in answer["failure"]
        server._connection.send_bytes(b'{"command": "close", "arrays": []}')
        assert server.exit_reason() == "ended with status 0"
    finally:
        server.close(gracefully=False)


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_server_ends_with_the_process_that_started_it(state):
    ended = subprocess.run([sys.executable, "-c", STARTER, state], capture_output=True, text=True, check=False)
    group = int(ended.stdout)
    deadline = time.monotonic() + 60
    while client._any_alive(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not client._any_alive(group)
    assert not psutil.pid_exists(group) or psutil.Process(group).status() == psutil.STATUS_ZOMBIE
