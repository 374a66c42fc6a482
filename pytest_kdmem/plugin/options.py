"""Registers the settings with pytest: `--kdmem-NAME`, then `KDMEM_NAME` in the environment, then `kdmem_name` as a key.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.specs.option import Kind
from pytest_kdmem.specs.options import OPTIONS

INI_TYPES: dict[Kind, Any] = {
    "text": "string",
    "path": "string",
    "count": "int",
    "number": "float",
    "flag": "bool",
    "truth": "bool",
    "paths": "linelist",
}


def add_options(parser: pytest.Parser) -> None:
    """Register every option and its key in the configuration."""
    group = parser.getgroup("kdmem", "memorization audits (kdmem)")
    for option in OPTIONS:
        arguments: dict[str, Any] = {"dest": f"kdmem_{option.key}", "default": None, "help": option.help}
        if option.kind == "flag":
            arguments["action"] = "store_true"
        elif option.kind == "paths":
            arguments |= {"action": "append", "metavar": "PATH"}
        else:
            arguments["metavar"] = option.key.upper()
        group.addoption(option.flag, **arguments)
        parser.addini(f"kdmem_{option.key}", option.help, type=INI_TYPES[option.kind], default=None)


def unknown_keys(config: pytest.Config) -> list[str]:
    """Return keys of the configuration that begin as ours do and name no setting.

    pytest keeps them in a private place; a version that has no such place warns of unknown keys itself.
    """
    unknown: set[str] = getattr(config, "_get_unknown_ini_keys", set)()
    return sorted(name for name in unknown if name.startswith("kdmem_"))
