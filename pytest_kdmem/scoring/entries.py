"""Stored entries: JSON files with a checksum, each under a key that stands for everything it depends on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from pytest_kdmem.scoring.store_files import checksum, write_file

FORMAT = 1
# Folders of the entries: what is recorded of training sets, confirmations, near-duplicates, predictors of risk, the
# losses that check how a training set is read, the classes of secrets in examples, how well two sets are told apart
# without a model, and how many, or which, examples of one set stand in another.
EntryKind = Literal[
    "corpora",
    "confirmations",
    "near-duplicates",
    "predictors",
    "readings",
    "secret-classes",
    "exchangeability",
    "overlaps",
]


class Entries:
    """The entries of one store.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folders: dict[EntryKind, Path] = {kind: root / kind for kind in get_args(EntryKind)}

    def read(self, kind: EntryKind, key: str) -> dict[str, Any] | None:
        """The content of an entry as it was written, or None; a damaged or renamed entry counts as absent."""
        try:
            content: dict[str, Any] = json.loads(self._path(kind, key).read_text())
            intact = content.pop("format") == FORMAT and content.pop("checksum") == checksum(_canonical(content))
            return content if intact and content.pop("key") == key else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def write(self, kind: EntryKind, key: str, content: dict[str, Any]) -> None:
        """Store an entry.

        Raises:
            StoreError: The folder cannot be written.
        """
        keyed = {**content, "key": key}
        entry = {**keyed, "format": FORMAT, "checksum": checksum(_canonical(keyed))}
        write_file(self._root, self._path(kind, key), _canonical(entry))

    def keys(self, kind: EntryKind) -> Iterator[str]:
        """The keys of all entries of a kind, in order."""
        yield from sorted(path.stem for path in self.folders[kind].glob("*.json"))

    def _path(self, kind: EntryKind, key: str) -> Path:
        return self.folders[kind] / f"{key}.json"


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
