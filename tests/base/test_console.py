"""There is one console, and it writes to what standard output is."""

from __future__ import annotations

import io
import sys

import pytest
from rich.live import Live

from pytest_kdmem.base.console import shared_console


def test_the_console_prints_lines_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    shared_console().print("[bold]a line[/bold] :smile: 12")
    assert capsys.readouterr().out == "[bold]a line[/bold] :smile: 12\n"


def test_it_is_one_console_while_something_is_drawn_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    console = shared_console()
    with Live("", console=console, auto_refresh=False, transient=True):
        assert hasattr(sys.stdout, "rich_proxied_file")
        assert shared_console() is console
    assert shared_console() is console


def test_another_standard_output_has_another_console(monkeypatch: pytest.MonkeyPatch) -> None:
    console = shared_console()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert shared_console() is not console
