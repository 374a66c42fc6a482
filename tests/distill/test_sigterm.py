"""SIGTERM is a request inside the block, and ends the process outside."""

from __future__ import annotations

import signal
import threading

from pytest_kdmem.distill.sigterm import catch_sigterm


def test_a_signal_inside_the_block_is_a_request():
    handler = signal.getsignal(signal.SIGTERM)
    with catch_sigterm() as stop:
        assert not stop.is_made
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_made
    assert signal.getsignal(signal.SIGTERM) is handler


def test_the_previous_handler_is_restored_after_an_error():
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        try:
            with catch_sigterm():
                raise ValueError
        except ValueError:
            signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_another_thread_than_the_main_one_leaves_signals_alone():
    handler = signal.getsignal(signal.SIGTERM)
    requests = []

    def run():
        with catch_sigterm() as stop:
            requests.append(stop.is_made)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert requests == [False]
    assert signal.getsignal(signal.SIGTERM) is handler
