"""A line of a result is shown as it is, and what it quotes is harmless."""

from __future__ import annotations

import sys

import pytest
from rich.table import Table

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.cli.output import print_tables, say, say_error, say_warning, shown_progress
from pytest_kdmem.report.glyphs import Glyphs
from tests.screen import screen_of


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


def test_progress_of_a_command_stands_on_stderr_where_nobody_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress("opening student\x1b[2J") as progress:
        progress.start("student", 3)
        progress.status("loading the model")
        progress.advance(3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["kdmem: opening student\ufffd[2J"]


def test_only_the_first_process_of_a_launcher_shows_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with shown_progress("opening student") as progress:
        assert progress is NO_PROGRESS
    assert capsys.readouterr() == ("", "")


def test_lines_stand_above_the_bar_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress("opening student") as progress:
        progress.start("train", 40)
        for epoch in (1, 2):
            progress.advance(20)
            say(f"epoch {epoch} of 2")
    shown = capsys.readouterr().out
    assert "40/40" in shown
    assert screen_of(shown, 60) == ["epoch 1 of 2", "epoch 2 of 2"]


LONG = "48 canaries and 512 twins in runs/canaries.json; keep it secret until the audit, and tell nobody"


def test_a_terminal_gets_no_line_that_breaks_within_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    say(LONG)
    say_error(f"{LONG} --kdmem-seed")
    out, err = capsys.readouterr()
    for shown, whole in ((out, LONG), (err, f"kdmem: {LONG} --seed")):
        lines = shown.splitlines()
        assert len(lines) > 1
        assert max(map(len, lines)) <= 60
        assert " ".join(line.strip() for line in lines) == whole


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_pipe_gets_every_column_of_a_table(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    def draw(glyphs: Glyphs, width: int) -> list[Table]:
        table = Table(box=glyphs.box)
        table.add_column("model", overflow="fold")
        for number in range(12):
            table.add_column(f"figure {number}", justify="right", no_wrap=True)
        table.add_row("runs/teacher", *["100.00%"] * 12)
        return [table]

    print_tables(draw)
    shown = capsys.readouterr().out
    assert "runs/teacher" in shown
    assert shown.count("100.00%") == 12
    assert all(f"figure {number}" in shown for number in range(12))


def test_an_error_is_one_line_where_nobody_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(LONG)
    assert capsys.readouterr().err == f"kdmem: {LONG}\n"
