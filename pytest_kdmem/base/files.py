"""Files and folders that are written whole or not at all: under a temporary name beside their own, then renamed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kdmem.base.addresses import Place, file_place
from pytest_kdmem.errors import DataError, KdmemError

if TYPE_CHECKING:
    import pyarrow as pa

# Makes the error that a failed write raises from the operating system's reason ("No space left on device").
Failure = Callable[[str], KdmemError]
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


@contextmanager
def atomic_file(path: Place, failure: Failure | None = None, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path; the file that the block writes there becomes ``path`` when the block ends.

    Its bytes are on the disk before it gets its name. If anything fails, the temporary file is removed and a file that
    was at ``path`` before stays as it is.

    Args:
        path: The file to write, a path or an address; its folder is made if it is missing.
        failure: Makes the error to raise; a `DataError` that names the path if not given.
        private: Whether only the owner may read the file and the folders that are made for it; else the process's
            umask decides. At an address this cannot be known.

    Raises:
        KdmemError: The file cannot be written, or is private and to be written at an address.
    """
    path = file_place(path)
    if isinstance(path, str):
        if private:
            raise DataError(f"A path on this machine was expected for a file that only its owner may read, not {path}.")
        from pytest_kdmem.base.remote_files import uploaded_file

        with uploaded_file(path) as temporary:
            yield temporary
        return
    temporary = _temporary(path)
    try:
        make_folder(path.parent, private=private)
        # With its permissions from the first, so that nobody can open it before they are set.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE if private else 0o666))
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        raise (failure or _not_written("file", path))(error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path, failure: Failure | None = None, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; what the block writes into it becomes the folder ``path`` when the block ends.

    All of its files are on the disk before the folder gets its name. If anything fails, the temporary folder is
    removed.

    Args:
        path: The folder to write; an empty folder there is replaced.
        failure: Makes the error to raise; a `DataError` that names the path if not given.
        overwrite: Replace a folder at ``path`` that holds files.

    Raises:
        KdmemError: The folder cannot be written.
    """
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        permissions = temporary.stat().st_mode & 0o666  # some libraries write files that nobody else may read
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(permissions)
                _flush_to_disk(file)
        if overwrite:
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.rmdir()  # not every system renames onto an empty folder
        temporary.replace(path)
    except OSError as error:
        raise (failure or _not_written("folder", path))(error.strerror or str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path, *, private: bool) -> None:
    """Make a folder, and those above it that are missing; no one else may look into private ones.

    Raises:
        OSError: It cannot be made.
    """
    for folder in reversed([path, *path.parents]):
        if not folder.is_dir():
            folder.mkdir(PRIVATE_FOLDER if private else 0o777, exist_ok=True)


def write_bytes(content: bytes, path: Place, failure: Failure | None = None, *, private: bool = False) -> None:
    """Write a file whole or not at all, as `atomic_file` does."""
    with atomic_file(path, failure, private=private) as temporary:
        temporary.write_bytes(content)


def write_text(
    text: str | Iterable[str], path: Place, failure: Failure | None = None, *, private: bool = False
) -> None:
    """Write text, or its pieces one after the other, as UTF-8, whole or not at all, as `atomic_file` does."""
    # A file name that is not UTF-8 holds lone surrogates, which a backslash escapes as JSON does.
    with (
        atomic_file(path, failure, private=private) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.writelines([text] if isinstance(text, str) else text)


def write_json(content: Mapping[str, Any], path: Place) -> None:
    """Write an object as strict JSON, whole or not at all.

    Raises:
        DataError: The file cannot be written.
    """
    write_text(json_lines(content), path)


def json_lines(content: Any) -> Iterator[str]:
    """Strict JSON that people read and compare, in pieces, and a line feed.

    An object takes a line per key, a list of plain values one line.
    """
    yield from _pieces(content, "")
    yield "\n"


def _pieces(content: Any, indent: str) -> Iterator[str]:
    deeper = indent + "  "
    if isinstance(content, Mapping) and content:
        for index, (key, value) in enumerate(content.items()):
            yield f"{',' if index else '{'}\n{deeper}{_plain(str(key))}: "
            yield from _pieces(value, deeper)
        yield f"\n{indent}}}"
    elif isinstance(content, list) and any(issubclass(kind, list | Mapping) for kind in set(map(type, content))):
        for index, value in enumerate(content):
            yield f"{',' if index else '['}\n{deeper}"
            yield from _pieces(value, deeper)
        yield f"\n{indent}]"
    else:
        yield _plain(content)


def write_table(rows: pa.Table, path: Place) -> None:
    """Write a table as parquet, whole or not at all.

    Raises:
        DataError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    with atomic_file(path) as temporary:
        pq.write_table(rows, temporary)


def _plain(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _temporary(path: Path) -> Path:
    """A hidden name in the same folder, which no other thread or process chooses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def _flush_to_disk(path: Path) -> None:
    """Without it, a rename may reach the disk before the file's bytes, and a power cut leaves an empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _not_written(kind: str, path: Path) -> Failure:
    return lambda reason: DataError(f"A {kind} was to be written at {path}, which is not possible ({reason}).")
