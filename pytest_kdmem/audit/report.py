"""Report ↔ JSON: the audits of one session, put together from the parts that its processes hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_kdmem.audit.merge import merge
from pytest_kdmem.audit.result import AUDIT, AuditResult, decoded_audit
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError


@dataclass(frozen=True)
class Report:
    """The audits of one session, in the order in which they were collected.

    Raises:
        DataError: there is none, or two are of one name.
    """

    audits: tuple[AuditResult, ...]

    def __post_init__(self) -> None:
        names = [audit.name for audit in self.audits]
        if not names or len(set(names)) < len(names):
            raise DataError(f"Audits of different names were expected in a report; found {names}.")

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates of any audit that do not let its model ship."""
        return tuple(gate for audit in self.audits for gate in audit.failed)

    def to_json(self) -> dict[str, Any]:
        """An audit alone as itself, several under ``audits``."""
        if len(self.audits) == 1:
            return self.audits[0].to_json()
        return {**REPORT.header, "audits": [audit.to_json() for audit in self.audits]}

    @staticmethod
    def from_json(content: Any) -> Report:
        """Read what `to_json` gave.

        Raises:
            DataError: it is of another schema version, or no audit report.
        """
        return REPORT.value(content)


def read_report(path: Path) -> Report:
    """Load a JSON report.

    Raises:
        DataError: there is no such file, or it is no audit report.
    """
    return REPORT.read(path)


def _decoded(entries: dict[str, Any]) -> Report:
    if "audits" not in entries:
        return Report((decoded_audit(entries),))
    audits = entries["audits"]
    if not isinstance(audits, list):
        raise TypeError("audits: list was expected")
    return Report(tuple(map(AuditResult.from_json, audits)))


REPORT = VersionedFile(AUDIT.name, AUDIT.version, _decoded, AUDIT.remedy)


def assembled(
    parts: Iterable[AuditResult],
    order: Mapping[str, str],
    failed: Iterable[str] = (),
    *,
    uncollected: Sequence[str] = (),
    narrowed: bool = False,
) -> Report:
    """The report of a session whose tests, by nodeid, belong to audits by name, from the parts of its processes.

    Of tests that ``failed``, those without a gate get one: a process that ended early took theirs with it. What could
    not be collected may be gates of any audit, and is missing from each.
    """
    parts_of: dict[str, list[AuditResult]] = {name: [] for name in order.values()}
    for part in parts:
        parts_of.setdefault(part.name, []).append(part)
    whole = [with_lost(merge(found), failed, order) for found in parts_of.values() if found]
    ordered = (with_order(one, [nodeid for nodeid, name in order.items() if name == one.name]) for one in whole)
    return Report(
        tuple(replace(one, not_run=(*one.not_run, *uncollected), narrowed=narrowed or one.narrowed) for one in ordered)
    )


def with_lost(result: AuditResult, failed: Iterable[str], order: Mapping[str, str]) -> AuditResult:
    """The result with a gate for each of its tests that failed and has none."""
    held = {gate.nodeid for gate in result.gates}
    lost = [nodeid for nodeid in dict.fromkeys(failed) if order.get(nodeid) == result.name and nodeid not in held]
    reason = "failed, and the process that ran it ended before it could tell more"
    made = (Gate(nodeid.rsplit("::", 1)[-1], nodeid, "", None, None, None, "error", reason) for nodeid in lost)
    return replace(result, gates=(*result.gates, *made))


def with_order(result: AuditResult, nodeids: Sequence[str]) -> AuditResult:
    """The result with its gates in the order of the tests collected, and those named that were not held."""
    place = {nodeid: at for at, nodeid in enumerate(nodeids)}
    gates = sorted(result.gates, key=lambda gate: place.get(gate.nodeid, len(place)))
    held = {gate.nodeid for gate in gates}
    return replace(result, gates=tuple(gates), not_run=tuple(nodeid for nodeid in nodeids if nodeid not in held))
