"""An import of torchao writes nothing, and whatever else its loggers say is shown."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from pytest_kdmem.base.torchao_notices import LOGGERS, leave_out_notices


@pytest.fixture(autouse=True)
def _installed() -> None:
    leave_out_notices()
    leave_out_notices()  # a second package that needs it
    for name in LOGGERS:
        assert len(logging.getLogger(name).filters) == 1


def test_lines_of_an_import_are_left_out_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    own = type("KernelPreference", (), {"__module__": "torchao.kernel"})
    other = type("Color", (), {"__module__": "mine"})
    with caplog.at_level(logging.WARNING):
        logging.getLogger("torchao").warning("Failed to load /torchao/_C_mxfp8.so: no such device")
        logging.getLogger("torchao").warning("The kernels are of another version.")
        for registered in (own, other):
            logging.getLogger("torch.utils._pytree").warning("%s is an Enum subclass", registered)
        logging.getLogger("torch.utils._pytree").warning("a warning without a class")
    assert caplog.messages == [
        "The kernels are of another version.",
        f"{other} is an Enum subclass",
        "a warning without a class",
    ]


def test_an_import_of_torchao_writes_nothing() -> None:
    pytest.importorskip("torchao")
    source = "import pytest_kdmem.engines.transformers, torchao.quantization"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
