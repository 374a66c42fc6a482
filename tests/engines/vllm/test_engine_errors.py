"""What the engine says of a server that fails, is silent or dies; no vLLM is needed for these."""

from __future__ import annotations

import signal

import pytest

from pytest_kdmem.engines.vllm import client
from pytest_kdmem.engines.vllm.engine import OUT_OF_MEMORY, VllmEngine
from pytest_kdmem.errors import EngineError
from tests.engines.vllm.any_server import server_of


def engine_with(script: str, device: str = "cpu") -> VllmEngine:
    """An engine whose server runs a script instead of loading a model."""
    engine = VllmEngine.__new__(VllmEngine)
    engine._name, engine._device = "m", device
    engine._server = server_of(script)
    return engine


def answering(answer: str) -> str:
    return f"""
import sys, time
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
connection.recv_bytes()
connection.send_bytes({answer!r}.encode())
time.sleep(100)
"""


def test_a_silent_server_is_ended_and_is_an_error_of_one_sentence(monkeypatch):
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.5)
    engine = engine_with("import time; time.sleep(100)")
    with pytest.raises(EngineError, match=r"answered nothing for .* minutes and was ended"):
        engine._request({"command": "score"})
    assert not client._any_alive(engine._server.pid)
    assert engine._server.exit_reason() == f"was ended by {signal.SIGKILL.name}"
    engine._server.close(gracefully=False)


def test_a_server_that_dies_is_described_by_its_status_and_last_error():
    engine = engine_with("raise RuntimeError('all is lost')")
    with pytest.raises(EngineError, match=r"whose process ended with status 1 \(RuntimeError: all is lost\); free"):
        engine._request({"command": "score"})
    engine._server.close(gracefully=False)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"refusal": "No.", "arrays": []}', r"^No\.$"),
        ('{"broken_row": 3, "arrays": []}', "NaN or infinity whatever the text; its weights are broken"),
        ('{"failure": "ValueError: odd", "arrays": []}', r"vLLM fails \(ValueError: odd\); use --kdmem-engine"),
    ],
)
def test_answers_that_report_an_error_raise_it(answer, message):
    engine = engine_with(answering(answer))
    with pytest.raises(EngineError, match=message):
        engine._request({"command": "decode"})
    engine._server.close(gracefully=False)


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
def test_memory_that_runs_out_is_reported_as_such_by_whichever_process(reason):
    elsewhere = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    logged = [f"(EngineCore pid=7) ERROR 11-22 01:16:58 [core.py:843] {reason}", elsewhere]
    engine = engine_with(f"print({logged[0]!r}); print({logged[1]!r})", device="cuda")
    engine._server.exit_reason()
    dead = "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
    for failure in (reason, elsewhere, dead):
        message = str(engine._failed(failure))
        assert "runs out of memory" in message
        assert reason in message
        assert "end what else holds memory" in message
    engine._server.close(gracefully=False)


def test_other_failures_are_not_taken_for_memory():
    assert not OUT_OF_MEMORY.search("ValueError: no such architecture")
