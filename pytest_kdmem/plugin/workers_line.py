"""The line that a run of pytest draws of what its workers of pytest-xdist do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from threading import Event, RLock, Thread
from typing import Any

import pytest

from pytest_kdmem.base.live_line import LiveLine
from pytest_kdmem.base.task_progress import TaskState
from pytest_kdmem.plugin.progress import below_current_line, can_draw, console_on, open_terminal
from pytest_kdmem.plugin.screen import lines_on_screen
from pytest_kdmem.plugin.session import session_of
from pytest_kdmem.plugin.worker_progress import CHANNEL, Message

PLUGIN_NAME = "kdmem-workers-line"
SECONDS_BETWEEN_LOOKS = 0.1
CLOSING = TaskState("", None, False, 0, None, "", "ending the workers and writing the report")


class WorkersLine:
    """The one line that shows what all workers do, taken off the terminal whenever pytest writes to it.

    Nothing is drawn, and nothing of pytest's is touched, before a worker tells of a task.

    Args:
        config: Configuration of the run that starts the workers.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._states: dict[str, TaskState] = {}
        self._followed = ""
        self._closing: TaskState | None = None  # what is done once no worker does anything that it tells
        self._terminal = open_terminal(config)  # in the main thread, as pytest captures nothing meanwhile
        self._line = LiveLine(
            self._shown, lambda: console_on(self._terminal), below_current_line(config), takes_prints=False
        )
        self._lock = RLock()  # held by whoever writes to the terminal
        self._writer = config.get_terminal_writer()
        self._written: dict[str, Callable[..., None]] = {}
        self._thread: Thread | None = None
        self._ended = Event()
        self._is_interrupted = False

    def watch(self, node: Any) -> None:
        """Give a worker that is about to start a channel for its progress."""
        channel = node.gateway.newchannel()
        channel.setcallback(lambda message: self._take(node.gateway.id, message), endmarker=())
        node.workerinput[CHANNEL] = channel

    def end(self) -> None:
        """Take the line off the terminal for good."""
        with self._lock:
            self._ended.set()
            self._line.erase()
            for name, write in self._written.items():
                setattr(self._writer, name, write)
            self._written = {}
        if self._thread is not None:
            self._thread.join()
        self._terminal.close()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Show that workers end and the report is written, until that is done."""
        self._closing = CLOSING
        try:
            return (yield)
        finally:
            self.end()

    def pytest_keyboard_interrupt(self) -> None:
        self._closing = CLOSING
        self._is_interrupted = True

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
        """Say how an interrupted audit goes on, as no worker has handed over anything that could be reported."""
        if self._is_interrupted and self._thread is not None and session_of(config).published is None:
            terminalreporter.section("memorization audit")
            for part in lines_on_screen(
                f"Interrupted, and no gate was evaluated. Exit code {int(exitstatus)}: this is no release. The same"
                " command goes on with what the cache holds by now.",
                config,
            ):
                terminalreporter.write_line(part, yellow=True, bold=True)

    def pytest_unconfigure(self) -> None:
        self.end()

    def _take(self, worker: str, message: Message) -> None:
        """Take over what a worker tells; () also comes when it ends or crashes."""
        if not message:
            self._states.pop(worker, None)
            return
        self._states[worker] = TaskState(*message)
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._begin()

    def _begin(self) -> None:
        self._written = {name: getattr(self._writer, name) for name in ("write", "write_raw")}
        for name, write in self._written.items():
            setattr(self._writer, name, self._below_what_is_written(write))
        self._thread = Thread(target=self._draw_until_ended, name=PLUGIN_NAME, daemon=True)
        self._thread.start()

    def _draw_until_ended(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_LOOKS):
            with self._lock:
                if (self._states or self._closing) and not self._ended.is_set():
                    self._line.draw()
                else:
                    self._line.erase()

    def _below_what_is_written(self, write: Callable[..., None]) -> Callable[..., None]:
        def written(*arguments: Any, **options: Any) -> None:
            with self._lock:
                self._line.erase()
                write(*arguments, **options)

        return written

    def _shown(self) -> TaskState | None:
        if self._closing is not None:
            return self._closing
        states = dict(self._states)
        self._followed = followed_worker(states, self._followed)
        return beside_others(states, self._followed) if self._followed else None


def followed_worker(states: Mapping[str, TaskState], followed: str) -> str:
    """Return the worker whose task is shown: until it ends the one that was shown before, or else the longest.

    What is being loaded is only shown where no task runs; "" if nothing is done.
    """
    running = {worker: state for worker, state in states.items() if is_running(state)}
    candidates = running or states
    if followed in candidates:
        return followed
    return max(candidates, key=lambda worker: candidates[worker].seconds_left or 0.0, default="")


def beside_others(states: Mapping[str, TaskState], followed: str) -> TaskState:
    """Return a worker's task, noting how far the others are."""
    others = [
        f"{state.what} {state.done / state.total:.0%}"
        for worker, state in states.items()
        if worker != followed and is_running(state) and state.total
    ]
    shown = states[followed]
    return replace(shown, note=", ".join(filter(None, [*others, shown.note])))


def is_running(state: TaskState) -> bool:
    """Whether a task has begun, and nothing is being loaded for it."""
    return bool(state.what) and not state.status


def watch_worker(node: Any) -> None:
    """Let a worker of pytest-xdist that is about to start tell its progress, if it can be shown."""
    config: pytest.Config = node.config
    if not can_draw(config):
        return
    if not config.pluginmanager.has_plugin(PLUGIN_NAME):
        config.pluginmanager.register(WorkersLine(config), PLUGIN_NAME)
    line: Any = config.pluginmanager.get_plugin(PLUGIN_NAME)
    line.watch(node)
