"""SIGTERM as a request to stop at the end of the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether SIGTERM has arrived."""

    def __init__(self) -> None:
        self.is_made = False


@contextmanager
def catch_sigterm() -> Iterator[StopRequest]:
    """Inside the block, SIGTERM makes a stop request instead of ending the process.

    Only the main thread may handle signals; in another thread SIGTERM keeps its effect.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def make_request(_signal: int, _frame: object) -> None:
        request.is_made = True

    previous_handler = signal.signal(signal.SIGTERM, make_request)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
