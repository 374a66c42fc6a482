"""What every report says in the same words: the verdict over all, and a gate's comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.estimate import MIRRORED, SIGN, Estimate


def outcome_of(audits: Sequence[AuditResult]) -> Literal["pass", "fail", "inconclusive"]:
    """What audits say together: nothing, where one held no figure against a threshold, or not all its gates."""
    if any(audit.failed for audit in audits):
        return "fail"
    decided = all(_compares(audit) and not audit.not_run and not audit.narrowed for audit in audits)
    return "pass" if decided else "inconclusive"


def _compares(audit: AuditResult) -> bool:
    return any(gate.estimate is not None for gate in audit.gates)


def verdict_sentence(report: Report) -> str:
    """Whether what was audited may ship, as far as its gates say."""
    outcome = outcome_of(report.audits)
    gates = [gate for audit in report.audits for gate in audit.gates]
    failed, missing = len(report.failed), sum(len(audit.not_run) for audit in report.audits)
    if outcome == "fail":
        rest = f"; {count(missing)} not run" if missing else ""
        return f"Do not ship: {count(failed)} of {count(len(gates))} gates did not pass{rest}"
    if outcome == "inconclusive":
        held = f"{count(len(gates))} of {count(len(gates) + missing)} gates held{', all pass' * bool(gates)}"
        chosen = "; not all tests were asked for" if any(audit.narrowed for audit in report.audits) else ""
        empty = sum(not _compares(audit) for audit in report.audits)
        where = f" in {count(empty)} of {count(len(report.audits))} audits" if len(report.audits) > 1 else ""
        none = f"; no estimate was compared{where}" if empty and gates else ""
        return f"Not decided: {held}{none}{chosen}"
    return f"May ship: all {count(len(gates))} gates pass" if len(gates) > 1 else "May ship: its one gate passes"


def gates_in_short(audit: AuditResult) -> str:
    """How many gates of one audit hold, in a few words."""
    if audit.failed:
        return f"{count(len(audit.failed))} not passed"
    rest = f"; {count(len(audit.not_run))} not run" if audit.not_run else ""
    return f"{'all pass' if _compares(audit) else 'no estimate compared'}{rest}"


def compared(gate: Gate) -> str:
    """The figure of a gate against its threshold, or its outcome."""
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return gate.outcome
    estimate, limit = gate.estimate, gate.threshold
    if math.isnan(estimate.value):
        return "undefined"
    against = limit.bound_for(MIRRORED[gate.operator]) if isinstance(limit, Estimate) else limit
    bound = estimate.format_value(estimate.bound_for(gate.operator))
    return f"{bound} {SIGN[gate.operator]} {estimate.format_value(against)}"
