"""An import of torchao or bitsandbytes writes nothing, and whatever else their loggers say is shown."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from pytest_kdmem.base.import_notices import LOGGERS, leave_out_notices


@pytest.fixture(autouse=True)
def _installed() -> None:
    leave_out_notices()
    leave_out_notices()  # a second package that needs it
    for name in LOGGERS:
        assert len(logging.getLogger(name).filters) == 1


def passes(name: str, message: str, *arguments: object) -> bool:
    """Whether a logger lets a line pass, whatever its level is."""
    record = logging.LogRecord(name, logging.WARNING, "", 0, message, arguments, None)
    return bool(logging.getLogger(name).filter(record))


def test_lines_of_an_import_are_left_out_and_no_others() -> None:
    own = type("KernelPreference", (), {"__module__": "torchao.kernel"})
    other = type("Color", (), {"__module__": "mine"})
    assert not passes("torchao", "Failed to load /torchao/_C_mxfp8.so: no such device")
    assert passes("torchao", "The kernels are of another version.")
    assert not passes("torchao.kernel.intmm", "Warning: Detected no triton, on systems without Triton …")
    assert passes("torchao.kernel.intmm", "The kernel gives other values.")
    bitsandbytes = "bitsandbytes.backends.cpu.ops"
    assert not passes(bitsandbytes, "Failed to load CPU gemm_4bit_forward from kernels-community: %s", "no kernels")
    assert passes(bitsandbytes, "The kernel gives other values.")
    assert not passes("torch.utils._pytree", "%s is an Enum subclass", own)
    assert passes("torch.utils._pytree", "%s is an Enum subclass", other)
    assert passes("torch.utils._pytree", "a warning without a class")


@pytest.mark.parametrize("library", ["torchao.quantization", "bitsandbytes"])
def test_an_import_writes_nothing(library: str) -> None:
    pytest.importorskip(library)
    source = f"import pytest_kdmem.engines.transformers, {library}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
