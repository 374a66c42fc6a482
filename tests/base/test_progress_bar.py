"""The bar is one line at every width, below all that is printed meanwhile, and nothing is left of it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from io import StringIO

import pytest
from rich.console import Console

from pytest_kdmem.base.progress_bar import Bar, fitting_parts
from pytest_kdmem.base.task_progress import TaskProgress
from tests.screen import screen_of

NOTE = "loss 2.1042, learning rate 5.0e-05, 1520 tokens/s"


def training(total: int | None = 12_800, *, is_estimate: bool = False) -> TaskProgress:
    """A task of which half an hour is left."""
    task = TaskProgress("train", None)
    if total is not None:
        task.expect(total, is_estimate=is_estimate)
    task.note = NOTE
    task._samples.clear()
    task._samples.extend([(0.0, 0), (10.0, 64)])
    task.done = 1280
    return task


def test_notes_give_way_first_and_the_last_of_them_before_the_others() -> None:
    def parts(width: int) -> list[str]:
        return fitting_parts(training(), width)[0]

    base = ["kdmem: train", " 1 280/12 800"]
    first, second, third = NOTE.split(", ")
    assert parts(160) == [*base, "30:00 left", "  6/s", first, second, third]
    assert parts(95) == [*base, "30:00 left", "  6/s", first, second]
    assert parts(80) == [*base, "30:00 left", "  6/s", first]
    assert parts(60) == [*base, "30:00 left", "  6/s"]
    assert parts(50) == [*base, "30:00 left"]
    assert fitting_parts(training(), 43) == ([*base, "30:00 left"], 0)
    assert fitting_parts(training(), 30) == (base, 0)


@pytest.mark.parametrize("width", range(30, 200))
def test_the_parts_fit_on_one_line(width: int) -> None:
    for task in (training(), training(None), training(2144, is_estimate=True)):
        parts, bar = fitting_parts(task, width)
        assert sum(map(len, parts)) + bar + len(parts) - 1 + bool(bar) <= width


def test_an_estimate_and_what_follows_from_it_are_marked() -> None:
    parts, bar = fitting_parts(training(2144, is_estimate=True), 80)
    assert parts[:3] == ["kdmem: train", " 1 280/~2 100", "~2:08 left"]
    assert bar


def test_without_a_total_there_is_no_bar() -> None:
    parts, bar = fitting_parts(training(None), 60)
    assert parts == ["kdmem: train", "1 280 examples", "  6/s", "loss 2.1042"]
    assert not bar


class Terminal:
    """A bar on a terminal, and what was written to it."""

    def __init__(self, columns: int) -> None:
        self.columns, self.output = columns, StringIO()
        self.console = Console(file=self.output, force_terminal=True, width=columns, height=24, highlight=False)
        self.bar = Bar(lambda: self.console)

    def redraw(self) -> list[str]:
        """The screen once the line was drawn anew."""
        self.console.print("", end="")
        return screen_of(self.output.getvalue(), self.columns)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_printed_lines_stand_above_the_bar_and_it_vanishes(columns: int) -> None:
    terminal = Terminal(columns)
    bar = terminal.bar
    bar.start("train", 40)
    for epoch in (1, 2):
        bar.note(NOTE)
        bar.advance(20)
        terminal.console.print(f"epoch {epoch} of 2: mean loss 1.2680")
        *above, line = screen_of(terminal.output.getvalue(), columns)
        assert above == [f"epoch {number} of 2: mean loss 1.2680" for number in range(1, epoch + 1)]
        assert line.startswith("kdmem: train ")
        assert f"{20 * epoch}/40" in line
    bar.finish()
    bar.finish()
    assert screen_of(terminal.output.getvalue(), columns) == [
        "epoch 1 of 2: mean loss 1.2680",
        "epoch 2 of 2: mean loss 1.2680",
    ]


STOPPED_BY_CTRL_C = """
import fcntl, termios, time
from pytest_kdmem.base.progress_bar import Bar

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
bar = Bar()
bar.start("train", 40)
bar.note("x, " * 60)  # parts that fill the line
try:
    bar.advance(20)
    time.sleep(60)
except KeyboardInterrupt:
    bar.finish()
    print("stopped")
"""


def test_ctrl_c_in_a_real_terminal_leaves_no_bar() -> None:
    reading, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "CI", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED_BY_CTRL_C],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env=environment | {"TERM": "xterm"},
    ):
        os.close(terminal)
        output, is_pressed = b"", False
        with suppress(OSError):  # how a terminal says that its last process has ended
            while part := os.read(reading, 1 << 16):
                output += part
                if not is_pressed and b"20/40" in output:
                    is_pressed = os.write(reading, b"\x03") > 0
    os.close(reading)
    assert b"^C" in output
    assert screen_of(output.decode(), 80) == ["stopped"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_echo_of_ctrl_c_keeps_no_bar_on_the_screen(columns: int) -> None:
    terminal = Terminal(columns)
    terminal.bar.start("train", 40)
    terminal.bar.note(NOTE * 3)
    terminal.bar.advance(20)
    terminal.redraw()
    terminal.output.write("^C")  # what a terminal writes by itself, wherever the cursor is
    terminal.console.print("stopping at the end of this step")
    terminal.output.write("^C")
    terminal.bar.finish()
    assert screen_of(terminal.output.getvalue(), columns) == ["stopping at the end of this step"]


def test_nothing_on_the_line_moves_while_numbers_grow() -> None:
    widths = set()
    for done in (1, 10, 100, 1000):
        task = training(1000)
        task.done = done
        task._samples.clear()
        task._samples.extend([(0.0, 0), (100.0, done)])
        parts, bar = fitting_parts(task, 80)
        widths.add((len(parts[1]), bar))
    assert len({counts for counts, _ in widths}) == 1


def test_what_is_loaded_stands_there_at_once_and_goes_with_the_first_example() -> None:
    terminal = Terminal(60)
    bar = terminal.bar
    bar.status("opening student")
    assert screen_of(terminal.output.getvalue(), 60)[0].endswith("kdmem: opening student …")
    bar.start("student", 4)
    bar.status("loading the model")
    assert terminal.redraw()[0].endswith("kdmem: student: loading the model …")
    bar.advance(1)
    assert "1/4" in terminal.redraw()[0]
    bar.finish()
    bar.status("")
    assert terminal.redraw() == []


def test_a_status_without_a_task_leaves_nothing() -> None:
    terminal = Terminal(60)
    terminal.bar.status("opening student")
    terminal.bar.status("")
    assert screen_of(terminal.output.getvalue(), 60) == []


def test_a_name_cannot_command_the_terminal() -> None:
    terminal = Terminal(60)
    terminal.bar.start("\x1b[2J\x07mine", 4)
    terminal.bar.finish()
    assert "\x1b[2J" not in terminal.output.getvalue()
    assert "\x07" not in terminal.output.getvalue()


def test_the_region_lasts_as_long_as_the_line() -> None:
    events: list[str] = []

    @contextmanager
    def region(console):
        events.append("begin")
        yield
        events.append("end")

    bar = Bar(lambda: Console(file=StringIO(), force_terminal=True), region)
    bar.start("student", None)
    bar.start("teacher", None)
    assert events == ["begin"]
    bar.finish()
    bar.advance(1)
    bar.expect(3, is_estimate=True)
    bar.note("late")
    assert events == ["begin", "end"]
