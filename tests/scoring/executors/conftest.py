"""The Ray cluster that the tests of executors share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Restore what Ray's own functions change in this process: the handler of SIGTERM and environment variables."""
    handler = signal.getsignal(signal.SIGTERM)
    environment = dict(os.environ)
    yield
    signal.signal(signal.SIGTERM, handler)
    for name in os.environ.keys() - environment.keys():
        if name.startswith("RAY_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes of a CPU each; ``extra`` is the node that can be removed.

    It is the only one that a process of tests uses: Ray starts no actors on a cluster if its process has used another
    one meanwhile. What needs a cluster of its own runs in a process of its own.
    """
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    handler = signal.getsignal(signal.SIGTERM)
    niceness = {"worker_niceness": 0}  # else the workers wait for whatever runs beside the tests
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": niceness},
    )
    cluster.extra = cluster.add_node(num_cpus=1)
    signal.signal(signal.SIGTERM, handler)  # a node sets its own, and this process runs other tests too
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def on_cluster(two_nodes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs connect to the shared cluster by its address."""
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    return two_nodes
