"""Files of an object store or another shared file system, named by a URI: listed in order, and read as streams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from urllib.parse import parse_qsl

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from pytest_kdmem.corpus.formats import STREAMED, UNREADABLE, File, Part, ending_of, first_line, read_file
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

# Those of pyarrow that hold files of many kinds.
SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
# What may stand behind the ? of an address: none of these holds a secret.
OPTIONS = {
    "s3": ("region", "scheme", "endpoint_override"),
    "gs": ("scheme", "endpoint_override"),
    "gcs": ("scheme", "endpoint_override"),
}
PLAIN = re.compile(r"(https?://)?[A-Za-z0-9.-]+(:\d+)?/?")  # a region, a scheme, or a host
CONTAINER = re.compile(r"[A-Za-z0-9$-]+@(?=[^/@])")  # of abfs://container@account
# Text is kept in files like these, too, and none of them is read.
OTHER_DATA = tuple(
    ".gz .zst .bz2 .xz .lz4 .snappy .br .csv .tsv .json .ndjson .jsonlines .arrow .feather .orc .avro .pq .parq .npy"
    " .npz .zip .tar .tgz .7z .tfrecord".split()
)


def is_uri(source: str) -> bool:
    """Whether a source is meant as a URI; what is a path or a hub id is none."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source) is not None


def check_uri(source: str) -> None:
    """Tell, without opening a connection, what can be seen to be wrong with a URI; it is not repeated, as it may hold
    a secret.

    Raises:
        DataError: it is of a kind that cannot be read, tells a password, or means something else than it says.
    """
    scheme, _, rest = source.partition("://")
    address, _, query = rest.partition("?")
    authority = address.partition("/")[0]
    if scheme not in SCHEMES:
        raise DataError(
            f"A training set's address must begin with {', '.join(f'{known}://' for known in SCHEMES)}; found"
            f" {scheme}://."
        )
    container = CONTAINER.match(address) if scheme in ("abfs", "abfss") else None
    if "@" in rest[container.end() if container else 0 :] or re.search(r":(?!\d*$)", authority):
        raise DataError(
            f"A {scheme}:// address without a password was expected, as reports show it, and this one has an @ or a :"
            " where a password stands; give the credentials in the environment, and write an @ of a name as %40."
        )
    if "#" in rest:
        raise DataError(
            f"A {scheme}:// address without a # was expected, as all behind it is dropped; write it as %23."
        )
    options = parse_qsl(query, keep_blank_values=True)
    if "?" in rest and not all(key in OPTIONS.get(scheme, ()) and PLAIN.fullmatch(value) for key, value in options):
        known = ", ".join(OPTIONS.get(scheme, ())) or "none"
        raise DataError(
            f"Behind the ? of a {scheme}:// address only these options were expected: {known}; found another, or a"
            " value that is none: give credentials in the environment, and write a ? of a name as %3F."
        )
    if re.search(r"[\[\]{}]", address):
        raise DataError(f"A pattern of names and * alone was expected in a {scheme}:// address; write no brackets.")


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
        DataError: there are none, they cannot be listed, or some of them would be passed by: any that matches the
            pattern, or one in the folder that looks like data, and has none of the endings.
    """
    check_uri(source)
    address, _, query = source.partition("?")
    whole, pattern = _split_pattern(address)
    try:
        filesystem, base = FileSystem.from_uri(f"{whole}?{query}" if query else whole)
        found = filesystem.get_file_info(base)
        if found.type == FileType.Directory:
            below = filesystem.get_file_info(FileSelector(base, recursive=True))
            paths = [info.path for info in below if _is_meant(info, base, pattern)]
        else:
            paths = [base] if found.is_file and not pattern else []
    except UNREADABLE as error:
        raise DataError(
            f"Training set {source} was expected to be readable, and is not ({first_line(error)}); check the address,"
            " the network and your credentials."
        ) from None
    scheme = source.partition("://")[0]
    readable = [path for path in paths if ending_of(path)]
    if paths and not readable:
        raise DataError(
            f"Files that end in {', '.join(STREAMED)} were expected at {source}; found {scheme}://{min(paths)}."
        )
    if not paths:
        raise DataError(f"Files were expected at {source}, and there are none; check the address.")
    # Else a part of the text would be left out without a word.
    passed_by = [path for path in paths if not ending_of(path) and (pattern or _looks_like_data(path))]
    if passed_by:
        raise DataError(
            f"Files that end in {', '.join(STREAMED)} alone were expected at {source}; found"
            f" {scheme}://{min(passed_by)}: convert it, move it away, or name the others by a pattern like *.jsonl."
        )
    return [File(filesystem, path, f"{scheme}://{path}") for path in sorted(readable)]


def _split_pattern(address: str) -> tuple[str, list[str]]:
    """What stands before the first name with a ``*``, and the names from there on."""
    scheme, _, rest = address.partition("://")
    names = rest.rstrip("/").split("/") if rest.strip("/") else [rest]
    first = next((at for at, name in enumerate(names) if "*" in name), len(names))
    return f"{scheme}://{'/'.join(names[:first]) or '/'}", names[first:]


def _looks_like_data(path: str) -> bool:
    name = path.lower()
    return ending_of(name, (*STREAMED, *OTHER_DATA)) is not None


def _is_meant(info: FileInfo, base: str, pattern: Sequence[str]) -> bool:
    if not info.is_file:
        return False
    names = info.path.removeprefix(base).strip("/").split("/")
    if pattern:
        return len(names) == len(pattern) and all(map(fnmatchcase, names, pattern))
    return not any(name.startswith(("_", ".")) for name in names)
