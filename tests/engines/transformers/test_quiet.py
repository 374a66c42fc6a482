"""Transformers and the libraries behind it write nothing while a model is loaded."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest
from transformers.utils import logging as transformers_logging

from pytest_kdmem.engines.transformers.quiet import LOGGERS, quiet, quiet_libraries


def test_transformers_is_silent_within_and_as_before_afterwards():
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    with quiet():
        assert transformers_logging.get_verbosity() == transformers_logging.ERROR
        assert not transformers_logging.is_progress_bar_enabled()
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == (verbosity, bars)
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == (verbosity, bars)


def test_libraries_are_silent_within(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    with quiet_libraries():
        warnings.warn("a library warns", stacklevel=1)
        print("a library writes", file=sys.stderr)
        for name in LOGGERS:
            logging.getLogger(f"{name}.part").warning("a library logs")
    assert capfd.readouterr() == ("", "")
    assert not recwarn
