"""Server processes that run a script of the test in place of vLLM's server."""

from __future__ import annotations

import os
import sys

from pytest_kdmem.engines.vllm.client import ServerProcess


def server_of(script: str) -> ServerProcess:
    return ServerProcess([sys.executable, "-c", script], dict(os.environ))


def request(server: ServerProcess):
    return server.request({"command": "anything"}, advance=lambda examples: None)
