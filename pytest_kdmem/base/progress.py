"""Shows progress while models run: a bar on a terminal, a line now and then in CI, nothing in workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pytest_kdmem.base.task_progress import TaskProgress
from pytest_kdmem.base.text import count

SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Shows how many examples are done. `expect` may be called from the thread that reads the examples."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a task; ``total`` is its number of examples, or None if that is unknown."""

    def expect(self, total: int, *, is_estimate: bool) -> None:
        """Set the number of examples of the task, once it is known or estimated."""

    def advance(self, examples: int) -> None:
        """Add examples that are done."""

    def note(self, text: str) -> None:
        """Show how the task stands beside the number of its examples, such as a loss."""

    def status(self, text: str) -> None:
        """Show what is being done before the first example is, such as loading a model; "" ends it."""

    def finish(self) -> None:
        """End the task."""


class NoProgress:
    """Shows nothing."""

    def start(self, what: str, total: int | None) -> None:
        pass

    def expect(self, total: int, *, is_estimate: bool) -> None:
        pass

    def advance(self, examples: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def finish(self) -> None:
        pass


NO_PROGRESS: Progress = NoProgress()


@contextmanager
def status_of(progress: Progress, text: str) -> Iterator[None]:
    """Show what is being done while the context lasts, unless a task begins meanwhile."""
    progress.status(text)
    try:
        yield
    finally:
        progress.status("")


class StepProgress:
    """Shows all tasks of one step under the name of the step.

    Args:
        shown: Shows the progress.
        step: Name of the step.
    """

    def __init__(self, shown: Progress, step: str) -> None:
        self._shown, self._step = shown, step
        self._in_task = False

    def start(self, what: str, total: int | None) -> None:
        self._in_task = True
        self._shown.start(self._step, total)

    def expect(self, total: int, *, is_estimate: bool) -> None:
        self._shown.expect(total, is_estimate=is_estimate)

    def advance(self, examples: int) -> None:
        self._shown.advance(examples)

    def note(self, text: str) -> None:
        self._shown.note(text)

    def status(self, text: str) -> None:
        self._shown.status(text if self._in_task or not text else self._step)

    def finish(self) -> None:
        self._in_task = False
        self._shown.finish()


class Lines:
    """Writes a line every half minute, and one for each thing that is opened before a task.

    Args:
        write: Writes one line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._task = TaskProgress("", None)
        self._last = 0.0
        self._written: set[str] = set()

    def start(self, what: str, total: int | None) -> None:
        self._task = TaskProgress(what, total)
        self._last = time.monotonic()

    def expect(self, total: int, *, is_estimate: bool) -> None:
        self._task.expect(total, is_estimate=is_estimate)

    def advance(self, examples: int) -> None:
        task, now = self._task, time.monotonic()
        task.advance(examples)
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            state = task.state
            about = "about " if state.is_estimate else ""
            total = f" of {about}{count(state.total)}" if state.total else ""
            left = f", {seconds:.0f} s left" if (seconds := state.seconds_left) is not None else ""
            noted = f", {state.note}" if state.note else ""
            self._write(
                f"kdmem: {state.what} {count(state.done)}{total} examples, {state.rate or 0:.0f}/s{left}{noted}"
            )

    def note(self, text: str) -> None:
        self._task.note = text

    def status(self, text: str) -> None:
        self._task.set_status(text)
        if text and not self._task.what and text not in self._written:
            self._written.add(text)
            self._write(f"kdmem: {text}")

    def finish(self) -> None:
        self._task = TaskProgress("", None)


def progress_for_onlooker() -> Progress:
    """Return a bar if a person looks on, or no progress."""
    if not sys.stdout.isatty():
        return NO_PROGRESS
    from pytest_kdmem.base.progress_bar import Bar

    return Bar()
