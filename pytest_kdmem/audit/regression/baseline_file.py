"""The committed file of accepted figures ↔ values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.base.files import write_json
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile

SCHEMA_VERSION = 1
KIND = "kdmem accepted figures"


@dataclass(frozen=True)
class AcceptedFigures:
    """Figures by audit; it holds ids and digests, and no text."""

    audits: dict[str, tuple[TrackedMetric, ...]]

    def of(self, audit: str) -> tuple[TrackedMetric, ...]:
        return self.audits.get(audit, ())

    def updated(self, found: Mapping[str, Iterable[TrackedMetric]]) -> AcceptedFigures:
        """With what was found in its place; what was not measured stays."""
        audits = dict(self.audits)
        for audit, figures in found.items():
            kept = {figure.key: figure for figure in self.of(audit)}
            audits[audit] = tuple((kept | {figure.key: figure for figure in figures}).values())
        return AcceptedFigures({audit: figures for audit, figures in sorted(audits.items()) if figures})


NOTHING_ACCEPTED = AcceptedFigures({})


def write_accepted(accepted: AcceptedFigures, path: Path) -> None:
    """Write the file whole or not at all; the same figures give the same bytes.

    Raises:
        DataError: the folder cannot be written.
    """
    write_json({**ACCEPTED.header, **to_json(accepted)}, path)


def read_accepted(path: Path) -> AcceptedFigures:
    """Read what `write_accepted` wrote.

    Raises:
        DataError: there is no such file, or it holds no accepted figures.
    """
    return ACCEPTED.read(path)


def _decoded(entries: dict[str, Any]) -> AcceptedFigures:
    return from_json(AcceptedFigures, {"audits": entries["audits"]})


ACCEPTED = VersionedFile(
    "A file of accepted figures",
    SCHEMA_VERSION,
    _decoded,
    "accept this run's anew by --kdmem-update-baseline-file, or name another --kdmem-baseline-file",
    "accept this run's by --kdmem-update-baseline-file",
    KIND,
)
