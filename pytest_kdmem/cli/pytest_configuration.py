"""Reads a setting from the file that pytest takes for its configuration."""

from __future__ import annotations

import tomllib
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path


def configured(key: str, folder: Path) -> str | None:
    """The value of a setting as text; None if it is not set, or the file cannot be read.

    Args:
        key: Name of the setting, such as ``kdmem_window_tokens``.
        folder: Folder in which pytest will be started.
    """
    from pytest_kdmem.plugin.validation import configuration_above

    path = configuration_above(folder)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            content = tomllib.loads(text)
            tables = content.get("tool", {}).get("pytest", {}) if path.name == "pyproject.toml" else content["pytest"]
            value = tables.get("ini_options", tables).get(key)
            return None if value is None else str(value)
        parser = ConfigParser(interpolation=None)
        parser.read_string(text)
        section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
        return parser.get(section, key, fallback=None)
    except (OSError, ValueError, KeyError, AttributeError, ConfigError):
        return None  # pytest tells what is wrong with it
