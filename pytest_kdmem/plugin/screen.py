"""Lines as pytest's terminal has room for them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.base.text import wrapped


def lines_on_screen(line: str, config: pytest.Config) -> list[str]:
    """Return a line in parts that fit the terminal, broken between words; whole where it is a file or pipe."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty:
        return [line]
    return wrapped(line, config.get_terminal_writer().fullwidth)
