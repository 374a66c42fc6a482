"""What `import pytest_kdmem` offers, and the command as a module."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_kdmem
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.specs.declared import Model


def test_every_public_name_is_there():
    for name in pytest_kdmem.__all__:
        assert getattr(pytest_kdmem, name).__name__.rpartition(".")[2] == name
    assert pytest_kdmem.Model is Model
    assert issubclass(pytest_kdmem.SpecError, KdmemError)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pytest_kdmem' has no attribute 'Modle'"):
        pytest_kdmem.Modle  # noqa: B018


def test_the_command_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "pytest_kdmem", "--help"], capture_output=True, text=True, check=True)
    assert "distill" in done.stdout
