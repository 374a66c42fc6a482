"""What an audit compared → the gates of its report, and the words of its failed asserts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kdmem.estimate import MIRRORED, Comparison, Estimate, Operator, undecided
from pytest_kdmem.result_entries import Gate
from pytest_kdmem.verdict import judge

if TYPE_CHECKING:
    import pytest


def gates_of(
    name: str,
    nodeid: str,
    comparisons: Sequence[Comparison],
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
) -> list[Gate]:
    """The gates of one test: each comparison it made; how it ended, where no comparison tells why."""
    if report.skipped:
        return []
    if getattr(report, "kdmem_error", False):
        return [_other(name, nodeid, "error", report, call)]
    gates = [_gate(name, nodeid, *comparison) for comparison in comparisons]
    if report.passed:
        # What does not hold and failed nothing was looked at, not required.
        held = [gate for gate in gates if gate.outcome == "pass"]
        return held or [Gate(name, nodeid, "", None, None, None, "pass", "passed without an estimate that held")]
    if all(gate.outcome == "pass" for gate in gates):
        gates.append(_other(name, nodeid, "fail" if call.when == "call" else "error", report, call))
    return gates


def undecided_reason(comparisons: Sequence[Comparison]) -> str:
    """Why a test that passed must not: it rests on a comparison that the data decide neither way; or nothing."""
    for estimate, operator, threshold in comparisons:
        if undecided(estimate, operator, threshold):
            reason = judge(estimate, operator, threshold).reason
            return f"{reason}: undecided, and a negated or unused comparison let it pass"
    return ""


def explain(op: str, left: object, right: object) -> list[str] | None:
    """Lines for a failed ``assert left op right`` with an estimate on either side; the first one tells it all."""
    if op not in MIRRORED:
        return None
    estimate, operator, threshold = (left, op, right) if isinstance(left, Estimate) else (right, MIRRORED[op], left)
    if not isinstance(estimate, Estimate) or not isinstance(threshold, Estimate | int | float | np.number):
        return None
    limit = threshold if isinstance(threshold, Estimate) else float(threshold)
    verdict = judge(estimate, operator, limit)  # type: ignore[arg-type]
    return [line for line in (verdict.reason, verdict.next_step) if line]


def _gate(name: str, nodeid: str, estimate: Estimate, operator: Operator, threshold: Estimate | float) -> Gate:
    verdict = judge(estimate, operator, threshold)
    limit = threshold if isinstance(threshold, Estimate) else float(threshold)
    return Gate(
        name, nodeid, estimate.metric, estimate, operator, limit, verdict.outcome, verdict.reason, verdict.next_step
    )


def _other(name: str, nodeid: str, outcome: Any, report: pytest.TestReport, call: pytest.CallInfo[Any]) -> Gate:
    said = getattr(report, "kdmem_reason", None) or (call.excinfo.value if call.excinfo is not None else "")
    reason = str(said).strip().splitlines()
    return Gate(name, nodeid, "", None, None, None, outcome, reason[0] if reason else "failed without a word")
