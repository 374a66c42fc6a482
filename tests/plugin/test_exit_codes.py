"""The exit code of an audit that is not decided is none that pytest has."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED


def test_no_code_of_pytest_means_not_decided() -> None:
    assert NOT_DECIDED not in set(map(int, pytest.ExitCode))
