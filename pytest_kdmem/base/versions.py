"""Versions of installed distributions, each of which is read once."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata


def installed_version(distribution: str) -> str:
    """Version of an installed distribution, as its metadata has it; nothing is imported.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    return _version_on(tuple(sys.path), distribution)


@cache
def _version_on(path: tuple[str, ...], distribution: str) -> str:
    """The version that is found on a path; all metadata of the distribution is parsed for it."""
    return metadata.version(distribution)
