"""The settings as pytest takes them: `--kdmem-NAME`, then `KDMEM_NAME` in the environment, then `kdmem_name` as a key.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.specs.options import OPTIONS, Kind

INI_TYPE: dict[Kind, Any] = {
    "text": "string",
    "path": "string",
    "count": "int",
    "number": "float",
    "flag": "bool",
    "paths": "linelist",
}


def add_options(parser: pytest.Parser) -> None:
    """Register every option and its key in the configuration."""
    group = parser.getgroup("kdmem", "memorization audits (kdmem)")
    for option in OPTIONS:
        how: dict[str, Any] = {"dest": f"kdmem_{option.key}", "default": None, "help": option.help}
        if option.kind == "flag":
            how["action"] = "store_true"
        elif option.kind == "paths":
            how |= {"action": "append", "metavar": "PATH"}
        else:
            how["metavar"] = option.key.upper()
        group.addoption(option.flag, **how)
        parser.addini(f"kdmem_{option.key}", option.help, type=INI_TYPE[option.kind], default=None)


def unknown_keys(config: pytest.Config) -> list[str]:
    """Keys of ours in the configuration that are none; where pytest does not tell them, it warns of them itself."""
    unknown: set[str] = getattr(config, "_get_unknown_ini_keys", set)()
    return sorted(name for name in unknown if name.startswith("kdmem_"))
