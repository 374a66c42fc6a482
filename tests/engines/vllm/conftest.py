"""Servers of vLLM that start in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_kdmem.engines.vllm import engine
from tests.engines.vllm.forked_server import Forker


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture
def forked(forker: Forker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of vLLM fork their servers."""
    monkeypatch.setattr(engine, "ServerProcess", forker.server_process())
