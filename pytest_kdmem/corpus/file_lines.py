"""A file on a disk or in an object store, and the lines of the text that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem

from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.errors import DataError

METERED_BYTES = 1 << 14
LONGEST_LINE = 1 << 26  # bytes; a compressed file of a few kilobytes may hold a line that fills any memory
# Errors that pyarrow raises for files and addresses that it cannot read.
UNREADABLE = (OSError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class File:
    """A file that can be read as a stream.

    Attributes:
        filesystem: File system that holds it.
        path: Its path there.
        name: Its name in messages, with the ending that tells its format.
    """

    filesystem: FileSystem
    path: str
    name: str

    def __str__(self) -> str:
        return self.name


def first_line(error: BaseException) -> str:
    """The first line of an error message, without a full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def lines_of(file: File, meter: ReadMeter | None = None) -> Iterator[tuple[int, str]]:
    """Lines of UTF-8 text, plain or compressed, without their line ends, each with its number from 1.

    Args:
        file: The file, whose name tells how it is compressed.
        meter: Receives the share of the file that is read.

    Raises:
        DataError: The file cannot be read, or holds other text.
    """
    suffix = file.name.rsplit(".", 1)[-1]
    compression = {"gz": "gzip", "zst": "zstd"}.get(suffix)
    try:
        with ExitStack() as opened:
            stream = opened.enter_context(file.filesystem.open_input_stream(file.path, compression=None))
            counted = None if meter is None else _CountedReads(stream)
            if compression:
                source = stream if counted is None else opened.enter_context(pa.PythonFile(counted, mode="r"))
                chunks = _chunks(opened.enter_context(pa.CompressedInputStream(source, compression)))
            else:
                chunks = _chunks(counted or stream)
            if meter and counted and (size := file.filesystem.get_file_info(file.path).size):
                chunks = _metered(chunks, counted, size, meter)
            for number, line in enumerate(_split_lines(chunks), start=1):
                try:
                    yield number, line.decode("utf-8").rstrip("\r")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"UTF-8 text was expected in line {number} of {file.name} ({error.reason})."
                    ) from None
    except UNREADABLE as error:
        raise DataError(
            f"{file.name} was expected to be readable as {suffix}, and is not ({first_line(error)})."
        ) from None


def _chunks(stream: Any) -> Iterator[bytes]:
    while chunk := stream.read(1 << 20):
        yield chunk


class _CountedReads:
    """Counts the bytes that are read of a stream."""

    def __init__(self, stream: Any) -> None:
        self.bytes_read, self._stream = 0, stream

    def read(self, size: int) -> bytes:
        chunk: bytes = self._stream.read(size)
        self.bytes_read += len(chunk)
        return chunk

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def close(self) -> None:
        self._stream.close()


def _metered(chunks: Iterator[bytes], reads: _CountedReads, size: int, meter: ReadMeter) -> Iterator[bytes]:
    """The chunks of a stream in smaller ones, and with each the share of the file that is read, compressed as it is."""
    before = 0
    for chunk in chunks:
        after = reads.bytes_read
        for start in range(0, len(chunk), METERED_BYTES):
            meter.set_share((before + (after - before) * start / len(chunk)) / size)
            yield chunk[start : start + METERED_BYTES]
        before = after


def _split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    pending: list[bytes] = []
    pending_bytes = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        pending_bytes += len(first)
        for part in rest:
            yield b"".join(pending)
            pending, pending_bytes = [part], len(part)
        if pending_bytes > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
    if last := b"".join(pending):
        yield last
