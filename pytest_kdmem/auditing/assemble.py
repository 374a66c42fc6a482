"""Assembles the report of a session from the results that its processes hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_kdmem.auditing.judged_models import differing_models, refused
from pytest_kdmem.auditing.merge import merge
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.students import with_same_models_told


def assemble_report(
    parts: Iterable[AuditResult],
    audit_of: Mapping[str, str],
    failed: Iterable[str] = (),
    *,
    uncollected: Sequence[str] = (),
    narrowed: bool = False,
) -> Report:
    """Assemble the report of a session.

    Args:
        parts: Results of the audits, several for one audit if several processes ran its tests.
        audit_of: Name of the audit of each test, by node id, in the order of collection.
        failed: Node ids of the tests that failed. One without a gate gets one, as its process ended too early.
        uncollected: Node ids of what could not be collected. They may hold gates of any audit, so that each audit
            counts them as not run.
        narrowed: Whether tests of the audits may have been left out of the session.
    """
    parts_by_audit: dict[str, list[AuditResult]] = {name: [] for name in audit_of.values()}
    for part in parts:
        parts_by_audit.setdefault(part.name, []).append(part)
    audits = []
    for name, audit_parts in parts_by_audit.items():
        if audit_parts:
            nodeids = [nodeid for nodeid, audit in audit_of.items() if audit == name]
            result = _check_one_model(merge(audit_parts), audit_parts)
            result = order_gates(_add_lost_gates(result, failed, nodeids), nodeids)
            not_run = (*result.not_run, *uncollected)
            audits.append(replace(result, not_run=not_run, narrowed=narrowed or result.narrowed))
    return Report(with_same_models_told(audits))


def order_gates(result: AuditResult, nodeids: Sequence[str]) -> AuditResult:
    """Put the gates of an audit into the order of its tests, and list the tests without a gate as not run."""
    position = {nodeid: index for index, nodeid in enumerate(nodeids)}
    gates = sorted(result.gates, key=lambda gate: position.get(gate.nodeid, len(position)))
    with_gate = {gate.nodeid for gate in gates}
    not_run = tuple(nodeid for nodeid in nodeids if nodeid not in with_gate)
    return replace(result, gates=tuple(gates), not_run=not_run)


def _add_lost_gates(result: AuditResult, failed: Iterable[str], nodeids: Sequence[str]) -> AuditResult:
    """Add a gate for each test of the audit that failed and has none."""
    with_gate = {gate.nodeid for gate in result.gates}
    lost = [nodeid for nodeid in dict.fromkeys(failed) if nodeid in nodeids and nodeid not in with_gate]
    reason = "failed, and the process that ran it ended before it could report more"
    gates = (Gate(nodeid.rsplit("::", 1)[-1], nodeid, "", None, None, None, "error", reason) for nodeid in lost)
    return replace(result, gates=(*result.gates, *gates))


def _check_one_model(result: AuditResult, parts: Sequence[AuditResult]) -> AuditResult:
    """Let no gate of an audit pass if its parts judged different files of one model."""
    changes = tuple(differing_models([part.models for part in parts]))
    if not changes:
        return result
    gates = tuple(refused(gate, changes[0]) for gate in result.gates)
    return replace(result, gates=gates, warnings=(*result.warnings, *changes))
