"""Progress is a line now and then, or a bar for whose time pytest captures nothing."""

from __future__ import annotations

import sys

import pytest

from pytest_kdmem.base import progress
from pytest_kdmem.base.progress import NO_PROGRESS, Bar, Lines, progress_for_onlooker


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    return []


def test_a_line_tells_what_is_done_how_fast_and_how_long_it_still_takes(lines: list[str]) -> None:
    written = Lines(lines.append)
    written.start("student", 4000)
    written.advance(1500)
    written.advance(500)
    written.finish()
    assert len(lines) == 2
    assert lines[0].startswith("kdmem: student 1 500 of 4 000 examples, ")
    assert lines[1].startswith("kdmem: student 2 000 of 4 000 examples, ")
    assert lines[1].endswith(" s left")


def test_a_line_leaves_out_what_is_unknown(lines: list[str]) -> None:
    written = Lines(lines.append)
    written.start("student", None)
    written.advance(7)
    assert lines[0].startswith("kdmem: student 7 examples, ")
    assert "left" not in lines[0]


def test_lines_are_far_apart() -> None:
    lines: list[str] = []
    written = Lines(lines.append)
    written.start("student", 10)
    for _ in range(10):
        written.advance(1)
    assert lines == []


class Capture:
    """Stands for pytest's capture manager."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def suspend_global_capture(self, in_: bool) -> None:
        self.calls.append("suspend")

    def resume_global_capture(self) -> None:
        self.calls.append("resume")


def test_capture_is_suspended_while_a_bar_is_drawn() -> None:
    capture = Capture()
    bar = Bar(capture)
    bar.finish()
    assert capture.calls == []
    bar.start("student", 10)
    assert capture.calls == ["suspend"]
    bar.advance(4)
    bar.finish()
    bar.finish()
    assert capture.calls == ["suspend", "resume"]


def test_a_bar_needs_no_capture_and_no_total() -> None:
    bar = Bar()
    bar.start("student", None)
    bar.advance(3)
    bar.finish()
    bar.advance(1)


def test_no_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    NO_PROGRESS.start("student", 3)
    NO_PROGRESS.advance(3)
    NO_PROGRESS.finish()
    assert capsys.readouterr().out == ""


def test_progress_is_drawn_where_a_person_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert isinstance(progress_for_onlooker(), Bar)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert progress_for_onlooker() is NO_PROGRESS
