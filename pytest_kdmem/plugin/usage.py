"""The error of a run that cannot be held, for whose message pytest has a place of its own."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors.harmless import harmless


def usage_error(message: str) -> pytest.UsageError:
    """Return the error to raise for wrong settings; what its sentence quotes is made harmless as in `KdmemError`."""
    return pytest.UsageError(harmless(message))
