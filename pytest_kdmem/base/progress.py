"""Shows progress while models run: a bar on a terminal, a line now and then in CI, nothing in workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kdmem.base.text import count

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Shows how many examples are done."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a task; ``total`` is its number of examples, or None if that is unknown."""

    def advance(self, examples: int) -> None:
        """Add examples that are done."""

    def note(self, text: str) -> None:
        """Show how the task stands beside the number of its examples, such as a loss."""

    def finish(self) -> None:
        """End the task."""


class _NoProgress:
    def start(self, what: str, total: int | None) -> None:
        pass

    def advance(self, examples: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def finish(self) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()


class Lines:
    """Writes a line every half minute.

    Args:
        write: Writes one line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._what, self._note, self._done = "", "", 0
        self._total: int | None = None
        self._began = self._last = 0.0

    def start(self, what: str, total: int | None) -> None:
        self._what, self._note, self._total, self._done = what, "", total, 0
        self._began = self._last = time.monotonic()

    def advance(self, examples: int) -> None:
        self._done += examples
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            total = f" of {count(self._total)}" if self._total else ""
            rate = self._done / (now - self._began)
            left = f", {(self._total - self._done) / rate:.0f} s left" if self._total and self._done else ""
            noted = f", {self._note}" if self._note else ""
            self._write(f"kdmem: {self._what} {count(self._done)}{total} examples, {rate:.0f}/s{left}{noted}")

    def note(self, text: str) -> None:
        self._note = text

    def finish(self) -> None:
        pass


class Bar:
    """Draws a bar with the rate and the remaining time.

    Args:
        capture: Capture manager of pytest, suspended while the bar is drawn; None outside of pytest.
    """

    def __init__(self, capture: Any = None) -> None:
        self._capture = capture
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._capture is not None:
            self._capture.suspend_global_capture(in_=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=sys.__stdout__),
            transient=True,
        )
        self._task = self._bar.add_task(f"kdmem: {what}", total=total, rate="", note="")
        self._bar.start()

    def advance(self, examples: int) -> None:
        if self._bar is not None and self._task is not None:
            speed = self._bar.tasks[0].speed
            self._bar.update(self._task, advance=examples, rate=f"{speed:.0f}/s" if speed else "")

    def note(self, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, note=text)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            if self._capture is not None:
                self._capture.resume_global_capture()


def progress_for_onlooker() -> Progress:
    """Return a bar if a person looks on, or no progress."""
    return Bar() if sys.stdout.isatty() else NO_PROGRESS
