"""Lines that are written through pytest's terminal are broken between words, and only on a terminal."""

from __future__ import annotations

from pytest_kdmem.plugin.screen import lines_on_screen
from tests.audit_project import ALONE

LINE = "kdmem configuration: window_tokens=128, max_memorization_rate=0.02, max_inheritance_ratio=0.02, sample=100"


def test_a_line_is_broken_for_a_terminal_alone(pytester):
    config = pytester.parseconfigure(*ALONE)
    assert lines_on_screen(LINE, config) == [LINE]
    config.pluginmanager.get_plugin("terminalreporter").isatty = True
    config.get_terminal_writer().fullwidth = 60
    parts = lines_on_screen(LINE, config)
    assert max(map(len, parts)) <= 60
    assert " ".join(part.strip() for part in parts) == LINE
