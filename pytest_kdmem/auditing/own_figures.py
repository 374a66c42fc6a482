"""Whether the figures that a test compares are of the models of its own audit, and whether a student was compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.recorder import Recorded, Refused
from pytest_kdmem.specs.roles import MODEL_ROLES


def refuse_foreign(records: Sequence[Recorded], audit: Audit | None) -> list[Recorded]:
    """Return what a test compared, in which a figure of another audit's teacher, student or baseline is refused.

    Args:
        records: What the test compared.
        audit: The audit of the test; None if it was not opened, so that it measured nothing.
    """
    return [
        Refused(_foreign_reason(role))
        if isinstance(entry, Comparison) and (role := _foreign_role(entry, audit))
        else entry
        for entry in records
    ]


def compares_student(audit: AuditResult) -> bool:
    """Whether a gate of an audit compares a figure of its student."""
    sides = [side for gate in audit.gates for side in (gate.estimate, gate.threshold)]
    return "student" in {_role(side) for side in sides if isinstance(side, Estimate)}


def with_students_compared(report: Report) -> Report:
    """Return a report in which each of several students that passes without being compared has a gate that does not."""
    return Report(tuple(map(_with_student_compared, report.audits)))


def _with_student_compared(audit: AuditResult) -> AuditResult:
    passes = audit.gates and not (audit.failed or audit.not_run or audit.narrowed)
    if not audit.student or not passes or compares_student(audit):
        return audit
    beside = audit.gates[0]
    reason = (
        f"A figure of student {audit.student} was expected to be compared by a gate, as several students are declared,"
        " and none was; let the test compare memorization(student) or inheritance()."
    )
    gate = Gate("student", beside.nodeid, "", None, None, None, "error", reason, path=beside.path, line=beside.line)
    return replace(audit, gates=(*audit.gates, gate))


def _foreign_role(comparison: Comparison, audit: Audit | None) -> str:
    """The role under which a comparison has a figure of a model that is not the audit's own; empty if it has none."""
    for side in (comparison.estimate, comparison.threshold):
        if not isinstance(side, Estimate) or not side.model_digest or (role := _role(side)) not in MODEL_ROLES:
            continue
        if audit is None or side.model_digest not in _digests(role, audit):
            return role
    return ""


def _digests(role: str, audit: Audit) -> set[str]:
    """Digests of the files by which an audit scored the model of a role."""
    return {table.checkpoint.digest for table in audit.scores if table.model == audit.roles.get(role)}


def _role(estimate: Estimate) -> str:
    return estimate.subject.split(" on ")[0]


def _foreign_reason(role: str) -> str:
    return (
        f"A figure of this audit's own {role} was expected to be compared, and one was kept from another audit's"
        f" {role}; let each test or fixture ask for memorization and the like among its arguments."
    )
