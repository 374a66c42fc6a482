"""What a setting is: its name in each place where it can be set, its kind, its help, and the values that it takes.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pytest_kdmem.specs.checks import Check

# A flag is given or not; a truth can also be given as "no".
Kind = Literal["text", "path", "count", "number", "flag", "truth", "paths"]


@dataclass(frozen=True)
class Option:
    """One setting.

    Args:
        name: Name as on the command line.
        kind: Kind of its value.
        help: Help text, a whole sentence.
        default: Value if the setting is not given.
        check: Takes a value of the right kind and returns what was expected instead, or an empty string.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    check: Check = lambda value: ""

    @property
    def flag(self) -> str:
        """Option of pytest."""
        return f"--kdmem-{self.name}"

    @property
    def key(self) -> str:
        """Name in Python; after `kdmem_`, the key in pytest's configuration."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable."""
        return f"KDMEM_{self.key.upper()}"
