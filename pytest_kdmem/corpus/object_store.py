"""Files of an object store or another shared file system, named by a URI: listed in order, and read as streams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from pytest_kdmem.corpus.formats import STREAMED, File, Part, ending_of, first_line, read_file
from pytest_kdmem.errors import DataError
from pytest_kdmem.spec import TrainingSet

# Those of pyarrow that hold files of many kinds.
SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")


def is_uri(source: str) -> bool:
    """Whether a source is meant as a URI; what is a path or a hub id is none."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source) is not None


def check_uri(source: str) -> None:
    """Tell, without opening a connection, what can be seen to be wrong with a URI.

    Raises:
        DataError: it is of a kind that cannot be read, or tells a password.
    """
    parts = urlsplit(source)
    if parts.password is not None:
        raise DataError(
            f"A {parts.scheme}:// address without a password was expected, as reports show it; give the credentials in"
            " the environment."
        )
    if parts.scheme not in SCHEMES:
        raise DataError(
            f"A training set's address must begin with {', '.join(f'{scheme}://' for scheme in SCHEMES)}; found"
            f" {source}."
        )


def parts_of_uri(training_set: TrainingSet, *, offline: bool) -> list[Part]:
    """A part for each file, in order.

    Raises:
        DataError: there are none, they cannot be listed, or ``offline`` forbids to.
    """
    if offline and not training_set.source.startswith("file://"):
        raise DataError(
            f"Training set {training_set.source} lies in an object store, and --kdmem-offline forbids to fetch it."
        )
    keep_blank = training_set.documents == "articles"
    files = list_files(training_set.source)
    return [partial(read_file, file, training_set.text_column, keep_blank=keep_blank) for file in files]


def list_files(source: str) -> list[File]:
    """The files that a URI names, in order of their paths.

    A URI names a file, a folder (all below it whose names have one of the endings STREAMED, but none that begins with
    ``_`` or ``.`` or lies below such a folder), or files by a pattern, in which each ``*`` stands for any part of one
    name.

    Raises:
        DataError: there are none, or they cannot be listed.
    """
    check_uri(source)
    address, _, query = source.partition("?")
    if re.search(r"[\[\]{}]", address):
        raise DataError(f"A pattern of names and * alone was expected in {source}; write it without brackets.")
    whole, pattern = _split_pattern(address)
    try:
        filesystem, base = FileSystem.from_uri(f"{whole}?{query}" if query else whole)
        found = filesystem.get_file_info(base)
        if found.type == FileType.Directory:
            below = filesystem.get_file_info(FileSelector(base, recursive=True))
            paths = [info.path for info in below if _is_meant(info, base, pattern)]
        else:
            paths = [base] if found.is_file and not pattern else []
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"Training set {source} was expected to be readable, and is not ({first_line(error)}); check the address,"
            " the network and your credentials."
        ) from None
    scheme = urlsplit(source).scheme
    readable = [path for path in paths if ending_of(path)]
    if paths and not readable:
        raise DataError(
            f"Files that end in {', '.join(STREAMED)} were expected at {source}; found {scheme}://{min(paths)}."
        )
    if not paths:
        raise DataError(f"Files were expected at {source}, and there are none; check the address.")
    return [File(filesystem, path, f"{scheme}://{path}") for path in sorted(readable)]


def _split_pattern(address: str) -> tuple[str, list[str]]:
    """What stands before the first name with a ``*``, and the names from there on."""
    scheme, _, rest = address.partition("://")
    names = rest.rstrip("/").split("/") if rest.strip("/") else [rest]
    first = next((at for at, name in enumerate(names) if "*" in name), len(names))
    return f"{scheme}://{'/'.join(names[:first]) or '/'}", names[first:]


def _is_meant(info: FileInfo, base: str, pattern: Sequence[str]) -> bool:
    if not info.is_file:
        return False
    names = info.path.removeprefix(base).strip("/").split("/")
    if pattern:
        return len(names) == len(pattern) and all(map(fnmatchcase, names, pattern))
    return not any(name.startswith(("_", ".")) for name in names)
