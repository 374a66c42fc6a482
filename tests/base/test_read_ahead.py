"""A stream that is read ahead is the same stream, one item ahead of its use."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_kdmem.base.read_ahead import read_ahead
from pytest_kdmem.errors import DataError


def counted(read: list[int], end: int = 10):
    for number in range(end):
        read.append(number)
        yield number


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


def reading_threads() -> int:
    return sum(thread.name == "kdmem-read-ahead" for thread in threading.enumerate())


def test_all_items_come_in_order():
    assert list(read_ahead(range(100))) == list(range(100))
    assert list(read_ahead([])) == []


def test_one_item_is_read_while_another_is_used_and_no_more():
    read: list[int] = []
    stream = read_ahead(counted(read))
    for used in range(4):
        assert next(stream) == used
        wait_until(lambda: not reading_threads())
        assert read == list(range(used + 2))


def test_an_error_is_raised_behind_the_items_before_it():
    def failing():
        yield from (1, 2)
        raise DataError("The third line was expected to be JSON.")

    stream = read_ahead(failing())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(DataError, match="third line"):
        next(stream)


def test_reading_ends_when_the_stream_is_closed():
    read: list[int] = []
    stream = read_ahead(counted(read))
    next(stream)
    stream.close()
    wait_until(lambda: not reading_threads())
    assert len(read) <= 2


def test_what_uses_the_items_does_not_wait_for_the_thread_when_it_fails():
    """A slow source, as a sample is before its first shard."""
    release = threading.Event()

    def slow():
        yield 1
        release.wait(20)
        yield 2

    def use() -> None:
        for _ in read_ahead(slow()):
            raise DataError("A model fails.")

    began = time.monotonic()
    with pytest.raises(DataError):
        use()
    assert time.monotonic() - began < 10
    release.set()
    wait_until(lambda: not reading_threads())
