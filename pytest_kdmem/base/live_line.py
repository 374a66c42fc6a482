"""One line of a terminal that is redrawn in place, below whatever is printed meanwhile, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

from pytest_kdmem.base.console import shared_console
from pytest_kdmem.base.task_progress import TaskState
from pytest_kdmem.base.text import count
from pytest_kdmem.errors.harmless import harmless

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.spinner import Spinner

NARROWEST_BAR, WIDEST_BAR = 10, 40
# Columns that stay free for what a terminal echoes at the cursor, ^C: in a line of its own it would keep the bar above.
FOR_ECHO = 4
REDRAWN_PER_SECOND = 4


class LiveLine:
    """Draws how a task stands: its name, a bar, counts, the time left, the rate, and a note, as far as there is room.

    Args:
        state: Gives the task as it stands whenever the line is drawn; None draws an empty line.
        console: Gives the console to draw on.
        region: Context in which the line is drawn, such as one that keeps the cursor's place.
        takes_prints: Whether what Python prints meanwhile is put above the line; False where it is captured.
    """

    def __init__(
        self,
        state: Callable[[], TaskState | None],
        console: Callable[[], Console] = shared_console,
        region: Callable[[Console], AbstractContextManager[object]] = lambda _console: nullcontext(),
        *,
        takes_prints: bool = True,
    ) -> None:
        self._state, self._open_console, self._region, self._takes_prints = state, console, region, takes_prints
        self._drawing: ExitStack | None = None
        self._spinner: Spinner | None = None

    def draw(self) -> None:
        """Begin to draw, unless the line is drawn already."""
        if self._drawing is not None:
            return
        from rich.live import Live
        from rich.spinner import Spinner

        console = self._open_console()
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")
        with ExitStack() as opened:
            opened.enter_context(self._region(console))
            opened.enter_context(
                Live(
                    _Line(self),
                    console=console,
                    transient=True,
                    refresh_per_second=REDRAWN_PER_SECOND,
                    redirect_stdout=self._takes_prints,
                    redirect_stderr=self._takes_prints,
                    vertical_overflow="crop",
                )
            )
            self._drawing = opened.pop_all()

    def erase(self) -> None:
        """Stop to draw, and take the line off the terminal."""
        drawing, self._drawing = self._drawing, None
        if drawing is not None:
            drawing.close()

    def line(self, width: int) -> RenderableType:
        """The line as it stands, no wider than the terminal."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if (task := self._state()) is None:
            return ""
        grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        cells: list[RenderableType] = []
        if task.status or not task.what:
            assert self._spinner is not None
            cells = [self._spinner, Text(harmless(f"kdmem: {task.headline}")[: width - 4] + " …", no_wrap=True)]
        else:
            texts, bar_width = fitting_parts(task, width)
            cells = [Text(harmless(text), overflow="ellipsis", no_wrap=True) for text in texts]
            if bar_width:
                cells.insert(1, ProgressBar(task.total, min(task.done, task.total or 0), width=bar_width))
        for _ in cells:
            grid.add_column(no_wrap=True)
        grid.add_row(*cells)
        return grid


class _Line:
    """The line as it stands whenever rich draws it."""

    def __init__(self, live_line: LiveLine) -> None:
        self._live_line = live_line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._live_line.line(options.max_width - FOR_ECHO)


def fitting_parts(task: TaskState, width: int) -> tuple[list[str], int]:
    """The parts of the line that fit into a width, and the width of the bar behind the first; 0 draws none.

    The note gives way first, its last part before its first, then the rate, the bar, and the time left.

    Args:
        task: The task to show.
        width: Number of columns of the terminal.
    """
    name, counts = f"kdmem: {task.what}", _counts(task)
    left = _left(task)
    rate = f"{f'{task.rate:.0f}/s':>5}" if task.rate else ""
    room = width - len(name) - len(counts) - 1
    parts = [name, counts]
    if left and len(left) < room:
        room -= len(left) + 1
        parts.append(left)
    has_bar = bool(task.total) and room > NARROWEST_BAR
    if has_bar:
        room -= NARROWEST_BAR + 1
    elif task.total:
        room = 0
    for part in [rate, *task.note.split(", ")]:
        if len(part) >= room:
            break
        if part:
            room -= len(part) + 1
            parts.append(part)
    return parts, min(WIDEST_BAR, NARROWEST_BAR + max(0, room)) if has_bar else 0


def _counts(task: TaskState) -> str:
    if not task.total:
        return f"{count(task.done)} examples"
    total = f"{'~' if task.is_estimate else ''}{count(task.total)}"
    return f"{count(task.done):>{len(total)}}/{total}"  # as wide from the first to the last, so that nothing moves


def _left(task: TaskState) -> str:
    if (seconds := task.seconds_left) is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{'~' if task.is_estimate else ''}{clock} left"
