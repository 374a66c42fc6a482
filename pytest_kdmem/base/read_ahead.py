"""Reads the next item of a stream in a thread while the last one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

# A process should not end while a thread reads a file, but a sample may take minutes to its first item.
SECONDS_TO_END = 2.0

Item = TypeVar("Item")


class _End:
    """Stands behind the last item."""


def read_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """The items of a stream in order, each read while the one before it is used; one is in memory ahead of its use.

    An error of the stream is raised where its item would come. Once the generator is closed, no further item is read,
    and a moment is given to the one that is being read.
    """
    iterator = iter(items)
    ahead = _read(iterator)
    try:
        while not isinstance(item := ahead.result(), _End):
            ahead = _read(iterator)
            yield item
    finally:
        wait([ahead], timeout=SECONDS_TO_END)


def _read(iterator: Iterator[Item]) -> Future[Item | _End]:
    """Read the next item in a thread of its own, which ends with it; the process does not wait for it to end."""
    future: Future[Item | _End] = Future()

    def run() -> None:
        try:
            future.set_result(next(iterator, _End()))
        except BaseException as error:  # raised by whoever takes the result
            future.set_exception(error)

    Thread(target=run, name="kdmem-read-ahead", daemon=True).start()
    return future
