"""Progress is a line now and then, and one for each thing that is loaded."""

from __future__ import annotations

import sys

import pytest

from pytest_kdmem.base import progress, task_progress
from pytest_kdmem.base.progress import NO_PROGRESS, Lines, StepProgress, progress_for_onlooker, status_of
from pytest_kdmem.base.progress_bar import Bar


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(task_progress, "AT_ONCE_SECONDS", 0.0)
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


def test_a_line_tells_an_estimate_as_one(lines: list[str]) -> None:
    written = Lines(lines.append)
    written.start("student", None)
    written.expect(2144, is_estimate=True)
    written.advance(7)
    written.expect(2150, is_estimate=False)
    written.advance(7)
    assert lines[0].startswith("kdmem: student 7 of about 2 100 examples, ")
    assert lines[1].startswith("kdmem: student 14 of 2 150 examples, ")


def test_what_is_opened_is_one_line_at_once_and_only_once() -> None:
    lines: list[str] = []
    written = Lines(lines.append)
    with status_of(written, "opening student"):
        written.start("student", 4)
        for _ in range(2):
            written.status("loading the model")
            written.status("")
    written.finish()
    with status_of(written, "opening student"):
        pass
    assert lines == ["kdmem: opening student"]


def test_no_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    NO_PROGRESS.start("student", 3)
    NO_PROGRESS.expect(3, is_estimate=False)
    NO_PROGRESS.status("loading")
    NO_PROGRESS.advance(3)
    NO_PROGRESS.finish()
    assert capsys.readouterr().out == ""


def test_progress_is_drawn_where_a_person_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert isinstance(progress_for_onlooker(), Bar)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert progress_for_onlooker() is NO_PROGRESS


def test_a_step_has_its_name_on_whatever_is_done_in_it(lines: list[str]) -> None:
    step = StepProgress(Lines(lines.append), "2/6 teacher")
    with status_of(step, "opening teacher-4bf9"):
        step.start("train", 16)
        step.status("loading the model")
        step.note("loss 2.1")
        step.advance(4)
        step.finish()
        step.status("opening teacher-4bf9")
        step.start("teacher-4bf9", None)
        step.expect(8, is_estimate=False)
        step.advance(4)
        step.finish()
    assert lines[0] == "kdmem: 2/6 teacher"
    assert lines[1].startswith("kdmem: 2/6 teacher 4 of 16 examples, ")
    assert lines[1].endswith(", loss 2.1")
    assert lines[2].startswith("kdmem: 2/6 teacher 4 of 8 examples, ")
    assert len(lines) == 3
