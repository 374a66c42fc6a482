"""Shows the progress of this process on a terminal, as one live line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pytest_kdmem.base.console import shared_console
from pytest_kdmem.base.live_line import LiveLine
from pytest_kdmem.base.task_progress import TaskProgress

if TYPE_CHECKING:
    from rich.console import Console


class Bar:
    """A live line that stands as long as something is loaded or a task lasts.

    Args:
        console: Gives the console to draw on when a task begins.
        region: Context in which the line is drawn, such as one that keeps the cursor's place.
        takes_prints: Whether what Python prints meanwhile is put above the line; False where it is captured.
    """

    def __init__(
        self,
        console: Callable[[], Console] = shared_console,
        region: Callable[[Console], AbstractContextManager[object]] = lambda _console: nullcontext(),
        *,
        takes_prints: bool = True,
    ) -> None:
        self._task: TaskProgress | None = None
        self._line = LiveLine(
            lambda: self._task.state if self._task is not None else None, console, region, takes_prints=takes_prints
        )

    def start(self, what: str, total: int | None) -> None:
        self._task = TaskProgress(what, total)
        self._line.draw()

    def expect(self, total: int, *, is_estimate: bool) -> None:
        if (task := self._task) is not None:
            task.expect(total, is_estimate=is_estimate)

    def advance(self, examples: int) -> None:
        if (task := self._task) is not None:
            task.advance(examples)

    def note(self, text: str) -> None:
        if (task := self._task) is not None:
            task.note = text

    def status(self, text: str) -> None:
        if self._task is None:
            self._task = TaskProgress("", None)
        self._task.set_status(text)
        if text:
            self._line.draw()
        elif not self._task.what:
            self.finish()

    def finish(self) -> None:
        self._task = None
        self._line.erase()
