"""vLLM's server forked from a process that has imported vLLM, which takes most of the time of a start.

What is imported is what the server imports, and nothing of it has run, so a forked server computes what a started one
does. How a server is started and ends is tested on started ones.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_kdmem.engines.vllm import engine, server
from pytest_kdmem.engines.vllm.client import ServerProcess, server_environment

LONGEST_REQUEST = 1 << 20


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture
def forked(forker: Forker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of vLLM fork their servers."""
    monkeypatch.setattr(engine, "ServerProcess", forker.server_process())


class Forker:
    """The process that has imported vLLM."""

    def __init__(self) -> None:
        self._socket, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = server_environment(os.environ, device="cpu", tensor_parallel=1, beyond_positions=False)
        with other_end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(other_end.fileno())],
                env=environment,
                pass_fds=[other_end.fileno()],
            )

    def fork(self, environment: Mapping[str, str], log: int, connection: int) -> ForkedProcess:
        socket.send_fds(self._socket, [json.dumps(dict(environment)).encode()], [log, connection])
        return ForkedProcess(int(self._socket.recv(LONGEST_REQUEST)))

    def server_process(self) -> type[ServerProcess]:
        """A `ServerProcess` that is forked."""
        forker = self

        class ForkedServer(ServerProcess):
            def _start(self, command: Sequence[str], environment: Mapping[str, str], descriptor: int) -> Any:
                assert command[1:] == ["-P", "-m", server.__name__]
                return forker.fork(environment, self._log.fileno(), descriptor)

        return ForkedServer

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


class ForkedProcess:
    """A process that is no child of this one, with what `subprocess.Popen` has of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended; its status is not known and counts as 0."""
        return 0 if select.select([self._descriptor], [], [], timeout)[0] else None


def main(descriptor: int) -> None:
    """Fork a server for each request, until the socket is closed."""
    from transformers import AutoModelForCausalLM  # noqa: F401
    from vllm import EngineArgs, LLMEngine, SamplingParams  # noqa: F401

    requests = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the servers
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 2)
        if not request:
            os._exit(0)  # what it imported has nothing to clean up, and takes seconds to say so
        if os.fork():
            for each in descriptors:
                os.close(each)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log, connection = descriptors
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(json.loads(request))
        requests.send(str(os.getpid()).encode())
        requests.close()
        server.main(connection)
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
