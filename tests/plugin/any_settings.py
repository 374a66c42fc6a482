"""Settings as a run has them, of which some are given."""

from __future__ import annotations

from typing import Any

from pytest_kdmem.plugin.settings import Origin, Settings
from pytest_kdmem.specs.options import OPTIONS


def settings(origin: Origin = "option", **values: Any) -> Settings:
    """Settings of which some are given in one place, and the others are their defaults."""
    defaults = {option.key: option.default for option in OPTIONS}
    return Settings(defaults | values, {key: origin if key in values else "default" for key in defaults}, {})
