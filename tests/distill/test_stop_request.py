"""SIGTERM and Ctrl-C are requests inside the block, and end the process outside; a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading

import pytest

from pytest_kdmem.distill import stop_request
from pytest_kdmem.distill.stop_request import catch_stop_signals
from pytest_kdmem.distill.training_run import no_report

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_inside_the_block_is_a_request(number):
    handlers = [signal.getsignal(each) for each in BOTH]
    lines: list[str] = []
    with catch_stop_signals(lines.append) as stop:
        assert not stop.is_made
        signal.raise_signal(number)
        assert stop.is_made
        assert stop.signal_number == number
    assert [signal.getsignal(each) for each in BOTH] == handlers
    (line,) = lines
    assert line.startswith("stopping after this step, which is saved")
    assert ("Ctrl-C again" in line) == (number == signal.SIGINT)


def test_a_second_press_of_ctrl_c_ends_at_once(monkeypatch):
    monkeypatch.setattr(stop_request, "SECONDS_BETWEEN_PRESSES", 0.0)
    with catch_stop_signals(no_report):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_quick_presses_end_at_once_as_well():
    stop, seconds = stop_request.StopRequest(), iter([5.0, 5.4, 5.8, 6.2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stop_request.time, "monotonic", lambda: next(seconds))
        assert [stop.receive(signal.SIGINT) for _ in range(3)] == [True, False, False]
        with pytest.raises(KeyboardInterrupt):
            stop.receive(signal.SIGINT)


def test_a_launcher_that_passes_a_press_on_makes_no_second_one_of_it():
    lines: list[str] = []
    with catch_stop_signals(lines.append) as stop:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.signal_number == signal.SIGINT
    assert len(lines) == 1


def test_ctrl_c_after_sigterm_is_the_first_press_and_ends_at_once():
    """Whoever sent SIGTERM, a person who presses Ctrl-C afterwards does not want to wait."""
    with catch_stop_signals(no_report):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with catch_stop_signals(no_report) as stop:
            signal.raise_signal(signal.SIGINT)
        assert not stop.is_made
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_previous_handler_is_restored_after_an_error():
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        try:
            with catch_stop_signals(no_report):
                raise ValueError
        except ValueError:
            signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_another_thread_than_the_main_one_leaves_signals_alone():
    handlers = [signal.getsignal(each) for each in BOTH]
    requests = []

    def run():
        with catch_stop_signals(no_report) as stop:
            requests.append(stop.is_made)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert requests == [False]
    assert [signal.getsignal(each) for each in BOTH] == handlers
