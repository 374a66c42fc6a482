"""Reads and writes the committed file of accepted metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.ranges import check_ranges
from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.base.files import write_json
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile

SCHEMA_VERSION = 1
KIND = "kdmem accepted figures"


@dataclass(frozen=True)
class AcceptedFigures:
    """The accepted metrics of all audits; they hold ids and digests of examples, and no text.

    Attributes:
        audits: Accepted metrics by name of the audit.
    """

    audits: dict[str, tuple[TrackedMetric, ...]]

    def for_audit(self, audit: str) -> tuple[TrackedMetric, ...]:
        """The accepted metrics of an audit; none if nothing was accepted."""
        return self.audits.get(audit, ())

    def updated(self, measured: Mapping[str, Iterable[TrackedMetric]]) -> AcceptedFigures:
        """A copy with the measured metrics of each audit in place of the accepted ones; others remain."""
        audits = dict(self.audits)
        for audit, metrics in measured.items():
            by_key = {metric.key: metric for metric in (*self.for_audit(audit), *metrics)}
            audits[audit] = tuple(by_key.values())
        return AcceptedFigures({audit: metrics for audit, metrics in sorted(audits.items()) if metrics})


NOTHING_ACCEPTED = AcceptedFigures({})


def write_accepted(accepted: AcceptedFigures, path: Path) -> None:
    """Write the file whole or not at all; equal metrics give equal bytes.

    Raises:
        DataError: The folder cannot be written.
    """
    write_json({**ACCEPTED.header, **to_json(accepted)}, path)


def read_accepted(path: Path) -> AcceptedFigures:
    """Read a file that `write_accepted` wrote.

    Raises:
        DataError: There is no such file, or it holds no accepted metrics.
    """
    return ACCEPTED.read(path)


def _decode(entries: dict[str, Any]) -> AcceptedFigures:
    accepted = from_json(AcceptedFigures, {"audits": entries["audits"]})
    for metrics in accepted.audits.values():
        check_ranges(metrics)
    return accepted


ACCEPTED = VersionedFile(
    "A file of accepted figures",
    SCHEMA_VERSION,
    _decode,
    "accept the figures of this run again with --kdmem-update-baseline-file, or name another --kdmem-baseline-file",
    "accept the figures of this run with --kdmem-update-baseline-file",
    KIND,
)
