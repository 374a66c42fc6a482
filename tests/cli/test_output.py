"""A line of a result is shown as it is, and what it quotes is harmless."""

from __future__ import annotations

import pytest

from pytest_kdmem.cli.output import say, say_warning


@pytest.mark.parametrize("line", ["rate [red]1 of 20[/red]", ":smile: 5 %", "x" * 500])
def test_a_line_is_neither_markup_nor_wrapped(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_what_a_line_quotes_controls_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("model a\x1b[2J\nb of s3://key:hunter2@bucket/x")
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "\x1b" not in shown
    assert "hunter2" not in shown


def test_a_warning_names_settings_as_commands_take_them(capsys: pytest.CaptureFixture[str]) -> None:
    say_warning("audit it with --kdmem-chat-roles all, or set --kdmem-risk-threshold")
    assert capsys.readouterr().out == "warning: audit it with --chat-roles all, or set --threshold\n"
