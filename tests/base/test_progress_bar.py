"""The bar is one line at every width, below all that is printed meanwhile, and nothing is left of it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pytest_kdmem.base.progress_bar import Bar
from tests.screen import output_on_terminal, screen_of

NOTE = "loss 2.1042, learning rate 5.0e-05, 1520 tokens/s"


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
import time
from pytest_kdmem.base.progress_bar import Bar

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


def test_ctrl_c_in_a_real_terminal_leaves_no_bar(tmp_path: Path) -> None:
    output = output_on_terminal([sys.executable, "-c", STOPPED_BY_CTRL_C], 80, tmp_path, ctrl_c_after="20/40")
    assert "^C" in output
    assert screen_of(output, 80) == ["stopped"]


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
