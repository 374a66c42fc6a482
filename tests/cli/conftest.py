"""Every test here runs whole projects, or commands, with no settings but its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_settings(no_settings_from_outside: None) -> None:
    pass
