"""Copies a file of lines without some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from pytest_kdmem.base.arrays import Flags

BYTES_AT_ONCE = 1 << 20
CODECS = {".gz": "gzip", ".zst": "zstd"}


def copy_lines(source: Path, target: Path, kept: Flags) -> int:
    """Copy lines, which end at line feeds as in reading; blank lines are no documents, and all of them are kept.

    Returns:
        the number of documents in the source.
    """
    codec = CODECS.get(source.suffix)
    is_blank = _is_blank_text if source.suffix == ".txt" else _is_blank_row
    number = 0
    with ExitStack() as stack:
        stream = stack.enter_context(pa.OSFile(str(source), "rb"))
        sink = stack.enter_context(pa.OSFile(str(target), "wb"))
        if codec:
            stream = stack.enter_context(pa.CompressedInputStream(stream, codec))
            sink = stack.enter_context(pa.CompressedOutputStream(sink, codec))
        buffer = _LineBuffer(sink.write)
        for line in _split(stream):
            if is_blank(line):
                buffer.add(line)
                continue
            if number < len(kept) and kept[number]:
                buffer.add(line)
            number += 1
        buffer.flush()
    return number


def _is_blank_text(line: bytes) -> bool:
    return not line.rstrip(b"\r\n")


def _is_blank_row(line: bytes) -> bool:
    return not line.decode("utf-8", "replace").strip()


class _LineBuffer:
    """Collects lines and writes many of them at a time."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._bytes = 0

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= BYTES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        self._write(b"".join(self._lines))
        self._lines, self._bytes = [], 0


def _split(stream: Any) -> Iterator[bytes]:
    """Lines, each with its line feed."""
    pending: list[bytes] = []
    while chunk := stream.read(BYTES_AT_ONCE):
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            yield b"".join([*pending, line, b"\n"])
            pending = []
        pending.append(rest)
    if last := b"".join(pending):
        yield last
