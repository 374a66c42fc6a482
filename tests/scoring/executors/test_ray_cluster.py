"""Which cluster a run connects to, and what is said where there is none."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time

import pytest

from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors.ray_cluster import cluster

ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    """No cluster but what `cluster` connects to itself."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if ray.is_initialized():
        ray.shutdown()


def refused() -> str:
    with pytest.raises(EngineError) as caught, cluster():
        pytest.fail("a cluster was used")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_connection_is_closed_and_leaves_the_process_as_it_was(on_cluster, capfd):
    handler, level = signal.getsignal(signal.SIGTERM), logging.getLogger("ray").level
    with cluster() as connected:
        assert connected.is_initialized()
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert signal.getsignal(signal.SIGTERM) is handler
        with cluster():
            pass
        assert connected.is_initialized(), "who did not connect does not disconnect"
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert logging.getLogger("ray").level == level
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert capfd.readouterr() == ("", "")


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "not installed" in (message := refused())
    assert "pip install 'pytest-kdmem[ray]'" in message


def test_an_address_where_nothing_listens_is_refused_soon(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    message = refused()
    assert f"RAY_ADDRESS={address}, and nothing answers there" in message
    assert "or unset it" in message
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["nowhere", "auto"])
def test_an_address_that_is_none_is_refused(monkeypatch, address):
    if address == "auto":  # finds the clusters of other test runs on this machine, too
        from ray._private import services

        monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"RAY_ADDRESS={address}, and it cannot be used" in refused()
