"""SIGTERM and Ctrl-C as requests to stop at the end of the current step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

# Launchers such as torchrun pass on a Ctrl-C that a terminal has already sent to their processes.
SECONDS_BETWEEN_PRESSES = 1.0
SENDERS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class StopRequest:
    """Which signal has asked to stop.

    Attributes:
        signal_number: The first signal that arrived; None if none has.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._first_interrupt = -SECONDS_BETWEEN_PRESSES

    @property
    def is_made(self) -> bool:
        return self.signal_number is not None

    def receive(self, signal_number: int) -> bool:
        """Note a signal, and return whether it is the first.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed a second time.
        """
        now = time.monotonic()
        is_first = self.signal_number is None
        if signal_number == signal.SIGINT:
            if not is_first and now - self._first_interrupt >= SECONDS_BETWEEN_PRESSES:
                raise KeyboardInterrupt
            if is_first:  # what is pressed quickly counts as well, once the time is over
                self._first_interrupt = now
        if is_first:
            self.signal_number = signal_number
        return is_first


@contextmanager
def catch_stop_signals(report: Callable[[str], None]) -> Iterator[StopRequest]:
    """Inside the block, SIGTERM and Ctrl-C make a stop request instead of ending the process.

    A second Ctrl-C is a KeyboardInterrupt as ever. Only the main thread may handle signals; in another thread both keep
    their effect. A signal that is ignored stays so.

    Args:
        report: Called with a line that says what happens next.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def make_request(signal_number: int, _frame: object) -> None:
        if request.receive(signal_number):
            way_out = "; Ctrl-C again stops at once" if signal_number == signal.SIGINT else ""
            report(f"stopping after this step, which is saved{way_out}")

    with ExitStack() as handlers:
        for number in SENDERS:
            if signal.getsignal(number) is signal.SIG_IGN:  # as `nohup` and shells ask of background jobs
                continue
            handlers.callback(signal.signal, number, signal.signal(number, make_request))
        yield request
