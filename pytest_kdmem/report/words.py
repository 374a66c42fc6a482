"""What every report says in the same words: the verdict over all, and a gate's comparison."""

from __future__ import annotations

import math

from pytest_kdmem.estimate import MIRRORED, SIGN, Estimate, count
from pytest_kdmem.report.record import Report
from pytest_kdmem.result_entries import Gate


def verdict_sentence(report: Report) -> str:
    """Whether what was audited may ship, as far as its gates say."""
    gates = [gate for audit in report.audits for gate in audit.gates]
    failed, missing = len(report.failed), sum(len(audit.not_run) for audit in report.audits)
    rest = f"; {count(missing)} not run" if missing else ""
    if failed:
        return f"Do not ship: {count(failed)} of {count(len(gates))} gates did not pass{rest}"
    if missing or not gates:
        held = f"{count(len(gates))} of {count(len(gates) + missing)} gates held"
        return f"Not decided: {held}{', all pass' * bool(gates)}"
    return f"May ship: all {count(len(gates))} gates pass" if len(gates) > 1 else "May ship: its one gate passes"


def compared(gate: Gate) -> str:
    """The figure of a gate against its threshold, or its outcome."""
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return gate.outcome
    estimate, limit = gate.estimate, gate.threshold
    if math.isnan(estimate.value):
        return "undefined"
    against = limit.facing(MIRRORED[gate.operator]) if isinstance(limit, Estimate) else limit
    return f"{estimate.figure(estimate.facing(gate.operator))} {SIGN[gate.operator]} {estimate.figure(against)}"
