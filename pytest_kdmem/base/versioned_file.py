"""JSON files that name their schema version: read as a value, or refused in one sentence that names the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_kdmem.base.addresses import Place, file_place
from pytest_kdmem.base.paths import read_text
from pytest_kdmem.errors import DataError, KdmemError
from pytest_kdmem.errors.harmless import one_line, quoted

Value = TypeVar("Value")
# What a decoder raises for content that is not what was written.
WRONG_CONTENT = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, KdmemError)
LONGEST_REASON = 300


@dataclass(frozen=True)
class VersionedFile(Generic[Value]):
    """A kind of JSON file: an object with the entry ``schema_version`` and, for some kinds, the entry ``kind``.

    Attributes:
        name: What messages call the content, with an article: ``A run card``.
        version: The schema version that is written and read.
        decode: Makes the value from the other entries. Any of `WRONG_CONTENT` that it raises is given as the reason.
        remedy: What to do about a file that is refused.
        if_missing: What to do if there is no such file.
        kind: Value of the entry ``kind``; None if files of this kind have no such entry.
        earlier_versions: Schema versions that are read as well; every other one is refused.
    """

    name: str
    version: int
    decode: Callable[[dict[str, Any]], Value]
    remedy: str
    if_missing: str = "check the path"
    kind: str | None = None
    earlier_versions: tuple[int, ...] = ()

    @property
    def header(self) -> dict[str, Any]:
        """The entries that every file of this kind begins with."""
        version = {"schema_version": self.version}
        return version if self.kind is None else {"kind": self.kind, **version}

    def read(self, path: Place) -> Value:
        """Read a file.

        Raises:
            DataError: There is no such file, or its content is refused.
        """
        return self.value(self.load(path), path)

    def read_if_present(self, path: Place) -> Value | None:
        """Read a file; None if there is no such file.

        Raises:
            DataError: Its content is refused.
        """
        content = self._load_if_present(path)
        return None if content is None else self.value(content, path)

    def load(self, path: Place) -> dict[str, Any]:
        """Read the entries of a file, header included, without decoding them.

        Raises:
            DataError: There is no such file, it is no JSON object, or it is of another kind or version.
        """
        content = self._load_if_present(path)
        if content is None:
            raise DataError(f"{self.name} was expected at {path}, and there is no such file; {self.if_missing}.")
        return self._checked(content, f" in {path}")

    def value(self, content: object, path: Place | None = None) -> Value:
        """Decode the content of a file.

        Args:
            content: What the file's JSON stands for.
            path: The file that messages name, if the content comes from one.

        Raises:
            DataError: The content is no object, of another kind or version, or the decoder refuses it.
        """
        place = f" in {path}" if path else ""
        entries = self._checked(content, place)
        try:
            return self.decode({key: entry for key, entry in entries.items() if key not in self.header})
        except WRONG_CONTENT as error:
            raise DataError(
                f"{self.name} was expected{place}, and a part of it is missing, unknown or of another kind"
                f" ({_reason(error)}); {self.remedy}."
            ) from None

    def _load_if_present(self, path: Place) -> object:
        try:
            content: object = json.loads(_read(file_place(path)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"{self.name} was expected in {path}, which is no readable JSON ({_reason(error)}); {self.remedy}."
            ) from None
        return content if content is not None else []  # the JSON word null is a content, though none that is read

    def _checked(self, content: object, place: str) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise DataError(f"{self.name} was expected{place}; found no JSON object: {self.remedy}.")
        if self.kind is not None and content.get("kind") != self.kind:
            raise DataError(f"{self.name} was expected{place}; found a file of another kind: {self.remedy}.")
        version = content.get("schema_version")
        if version not in (self.version, *self.earlier_versions):
            raise DataError(
                f"{self.name} of schema_version {self.version} was expected{place}; found {quoted(version)}:"
                f" {self.remedy}."
            )
        return content


def _read(place: Place) -> str:
    if not isinstance(place, str):
        return read_text(place)
    from pytest_kdmem.base import remote_files

    return remote_files.read_text(place)


def _reason(error: Exception) -> str:
    return one_line(str(error), LONGEST_REASON)
