"""Reads and writes one file at an address, such as ``s3://bucket/name``; it is written whole or not at all."""

from __future__ import annotations

import mimetypes
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSystem

from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import one_line

# File systems in which a file has its name only once all of it was sent.
WHOLE_ONCE_CLOSED = ("s3", "gcs")
LONGEST_REASON = 300


@contextmanager
def uploaded_file(address: str) -> Iterator[Path]:
    """Yield a path on this machine; the file that the block writes there is at the address when the block ends.

    If the block fails, nothing is sent, and a file that was at the address stays as it is.

    Raises:
        DataError: The file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="kdmem-") as folder:
        path = Path(folder) / "file"
        yield path
        with _as_data_error(address, "written"):
            _upload(path, address)


def read_text(address: str) -> str:
    """The text of a file in UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file cannot be read.
        UnicodeDecodeError: It is no text.
    """
    with _as_data_error(address, "read"):
        filesystem, path = FileSystem.from_uri(address)
        if not filesystem.get_file_info(path).is_file:
            raise FileNotFoundError(address)
        with filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
    return content.decode()


def make_room(address: str) -> None:
    """Remove the file that is at an address, if there is one, and see that a file can be written there.

    Raises:
        DataError: It cannot be removed, or none can be written.
    """
    with _as_data_error(address, "written"):
        filesystem, path = FileSystem.from_uri(address)
        if filesystem.get_file_info(path).is_file:
            filesystem.delete_file(path)
        trial = _hidden_name(path)
        with filesystem.open_output_stream(trial) as stream:
            stream.write(b"")
        filesystem.delete_file(trial)


def _upload(path: Path, address: str) -> None:
    filesystem, target = FileSystem.from_uri(address)
    is_whole = filesystem.type_name in WHOLE_ONCE_CLOSED
    written = target if is_whole else _hidden_name(target)
    kind = mimetypes.guess_type(target)[0] or "application/octet-stream"  # with it browsers show HTML as such
    # Closing a stream publishes what it was given. So it is given all at once, by a call that nothing interrupts.
    with pa.OSFile(str(path)) as file:
        content = file.read_buffer()
    try:
        with filesystem.open_output_stream(written, metadata={"Content-Type": kind}) as stream:
            stream.write(content)
        size = filesystem.get_file_info(written).size
        if size != len(content):
            raise OSError(f"{size} bytes arrived of {len(content)}")
        if not is_whole:
            filesystem.move(written, target)
    except BaseException:
        if not is_whole:
            with suppress(OSError):
                filesystem.delete_file(written)
        raise


def _hidden_name(path: str) -> str:
    """A name in the same folder that no other process chooses, and that no reader of the folder takes for data."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{secrets.token_hex(4)}.partial"


@contextmanager
def _as_data_error(address: str, done: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        if done == "read" and isinstance(error, FileNotFoundError):
            raise
        raise DataError(
            f"A file was to be {done} at {address}, which is not possible ({one_line(str(error), LONGEST_REASON)});"
            " check the address, the network and your credentials."
        ) from None
