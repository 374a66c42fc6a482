"""Addresses of files in object stores and other shared file systems (``s3://bucket/name``), beside paths."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import parse_qsl

from pytest_kdmem.base.paths import local_path
from pytest_kdmem.errors import DataError

# A path on this machine, or an address.
Place: TypeAlias = Path | str

# Schemes of pyarrow's file systems.
SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
# Options that may follow the ? of an address; none of them holds a secret.
OPTIONS = {
    "s3": ("region", "scheme", "endpoint_override"),
    "gs": ("scheme", "endpoint_override"),
    "gcs": ("scheme", "endpoint_override"),
}
PLAIN = re.compile(r"(https?://)?[A-Za-z0-9.-]+(:\d+)?/?")  # a region, a scheme, or a host
CONTAINER = re.compile(r"[A-Za-z0-9$-]+@(?=[^/@])")  # of abfs://container@account


def is_address(source: Place) -> bool:
    """Whether a source is an address and not a path or a hub id."""
    return isinstance(source, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source) is not None


def check_address(source: str) -> None:
    """Check an address without opening a connection. Messages do not repeat it, because it may hold a secret.

    Raises:
        DataError: Its scheme is not supported, it holds a password, or part of it would be ignored.
    """
    scheme, _, rest = source.partition("://")
    address, _, query = rest.partition("?")
    authority = address.partition("/")[0]
    if scheme not in SCHEMES:
        raise DataError(f"An address must begin with {', '.join(f'{name}://' for name in SCHEMES)}; found {scheme}://.")
    container = CONTAINER.match(address) if scheme in ("abfs", "abfss") else None
    if "@" in rest[container.end() if container else 0 :] or re.search(r":(?!\d*$)", authority):
        raise DataError(
            f"A {scheme}:// address without a password was expected, as reports show it, and this one has an @ or a :"
            " where a password stands; give the credentials in the environment, and write an @ of a name as %40."
        )
    if "#" in rest:
        raise DataError(
            f"A {scheme}:// address without a # was expected, because everything after it is dropped; write it as %23."
        )
    options = parse_qsl(query, keep_blank_values=True)
    if "?" in rest and not all(key in OPTIONS.get(scheme, ()) and PLAIN.fullmatch(value) for key, value in options):
        valid_options = ", ".join(OPTIONS.get(scheme, ())) or "none"
        raise DataError(
            f"Behind the ? of a {scheme}:// address only these options were expected: {valid_options}; found"
            " another, or a wrong value: give credentials in the environment, and write a ? of a name as %3F."
        )
    if re.search(r"[\[\]{}]", address):
        raise DataError(f"A pattern of names and * alone was expected in a {scheme}:// address; write no brackets.")


def file_place(text: Place) -> Place:
    """Return the place of one file: a path, also for a ``file://`` address, or an address that was checked.

    Raises:
        DataError: It is an address that is not supported, or the pattern of several files.
    """
    if not isinstance(text, str) or not is_address(text):
        return local_path(str(text))
    check_address(text)
    if "*" in text:
        raise DataError(f"The address of one file was expected, without a *; found {text}.")
    if not text.startswith("file://"):
        return text
    from pyarrow.fs import FileSystem

    try:
        return Path(FileSystem.from_uri(text)[1])
    except (OSError, ValueError) as error:
        raise DataError(f"A file:// address was expected to name a path ({error}).") from None


def ending(place: Place) -> str:
    """The ending of a file's name, with its dot; empty if it has none."""
    return PurePosixPath(str(place).partition("?")[0] if is_address(place) else place).suffix
