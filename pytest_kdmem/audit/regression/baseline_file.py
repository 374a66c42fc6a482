"""The committed file of accepted figures ↔ values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.base import typed_json
from pytest_kdmem.base.files import write_json
from pytest_kdmem.errors import DataError

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
    content: dict[str, Any] = typed_json.to_json(accepted)
    write_json({"kind": KIND, "schema_version": SCHEMA_VERSION, **content}, path)


def read_accepted(path: Path) -> AcceptedFigures:
    """Read what `write_accepted` wrote.

    Raises:
        DataError: there is no such file, or it holds no accepted figures.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"Accepted figures were expected at {path}, and there is no such file; accept this run's by"
            " --kdmem-update-baseline-file."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Accepted figures were expected in {path}, which is no readable JSON ({error}).") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DataError(
            f"Accepted figures were expected in {path}, and it holds none; name another --kdmem-baseline-file."
        )
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Accepted figures of schema_version {SCHEMA_VERSION} were expected in {path}; found"
            f" {content.get('schema_version')!r:.20}: accept them anew by --kdmem-update-baseline-file."
        )
    try:
        return typed_json.from_json(AcceptedFigures, {"audits": content["audits"]})
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(
            f"Accepted figures were expected in {path}, and a part is missing or misnamed ({error})."
        ) from None
