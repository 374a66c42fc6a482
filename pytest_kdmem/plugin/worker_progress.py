"""Progress in a worker of pytest-xdist, which tells it to the process that started it.

It travels over a channel of its own, as pytest-xdist has no event for it. Nothing is written to a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.base.task_progress import TaskProgress

CHANNEL = "kdmem_progress"  # its place in what a worker is given
SECONDS_BETWEEN_MESSAGES = 0.2

Message = tuple[Any, ...]  # the values of a TaskState; () if nothing is done


class ToldProgress:
    """Tells how the task of this process stands.

    Args:
        send: Sends a message to the process that draws; raises OSError once that has gone.
    """

    def __init__(self, send: Callable[[Message], object]) -> None:
        self._send = send
        self._task: TaskProgress | None = None
        self._told_at = 0.0  # when it last told of examples, of which there may be many a second

    def start(self, what: str, total: int | None) -> None:
        self._task, self._told_at = TaskProgress(what, total), 0.0
        self._tell()

    def expect(self, total: int, *, is_estimate: bool) -> None:
        if (task := self._task) is not None:
            task.expect(total, is_estimate=is_estimate)
            self._tell_now_and_then()

    def advance(self, examples: int) -> None:
        if (task := self._task) is not None:
            task.advance(examples)
            self._tell_now_and_then()

    def note(self, text: str) -> None:
        if (task := self._task) is not None:
            task.note = text
            self._tell_now_and_then()

    def status(self, text: str) -> None:
        if self._task is None:
            self._task = TaskProgress("", None)
        self._task.set_status(text)
        if not text and not self._task.what:
            self._task = None
        self._tell()

    def finish(self) -> None:
        self._task = None
        self._tell()

    def _tell_now_and_then(self) -> None:
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN_MESSAGES:
            self._told_at = time.monotonic()
            self._tell()

    def _tell(self) -> None:
        task = self._task
        try:
            self._send(astuple(task.state) if task is not None else ())
        except OSError:  # nobody looks on any more, and the audit goes on
            self._send = lambda _message: None


def progress_of_worker(config: pytest.Config) -> Progress:
    """Return what tells the progress of a worker; none if the process that started it draws nothing."""
    channel = config.workerinput.get(CHANNEL)  # type: ignore[attr-defined]
    return ToldProgress(channel.send) if channel is not None else NO_PROGRESS
