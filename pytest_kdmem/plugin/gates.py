"""What an audit compared → the gates of its report, and the words of its failed asserts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kdmem.audit.regression.accepted import Accepted
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.audit.verdict import JudgedBound, judge
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.metrics.estimate import HIGHER_IS_BETTER, MIRRORED, Comparison, Estimate, Operator, is_undecided

if TYPE_CHECKING:
    import pytest

SHOWN = 100  # characters of a reason that pytest shows whatever it cuts


def gates_of(
    item: pytest.Item,
    comparisons: Sequence[Comparison],
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    *,
    known: bool = False,
) -> list[Gate]:
    """The gates of one test: each comparison it made; how it ended, where no comparison tells why.

    Args:
        comparisons: since the test's last report, of which subtests and a teardown have their own.
        known: it has gates of an earlier one.
    """
    if known and report.passed and not comparisons:
        return []
    path, line = place_of(item, report)
    return [replace(gate, path=path, line=line) for gate in _gates(item, comparisons, report, call)]


def place_of(item: pytest.Item, report: pytest.TestReport) -> tuple[str, int]:
    """Where a test failed in its own file, or else where it begins: path from the root, and line from 1."""
    path, start, _ = item.location
    crash = getattr(report.longrepr, "reprcrash", None)
    inside = crash is not None and Path(crash.path) == item.path
    return Path(path).as_posix(), crash.lineno if inside and crash is not None else (start or 0) + 1


def _gates(
    item: pytest.Item, comparisons: Sequence[Comparison], report: pytest.TestReport, call: pytest.CallInfo[Any]
) -> list[Gate]:
    name, nodeid = item.name, item.nodeid
    if report.skipped:
        return []
    if getattr(report, "kdmem_error", False):
        return [_other(name, nodeid, "error", report, call)]
    gates = [_gate(name, nodeid, *comparison) for comparison in comparisons]
    if report.passed:
        # What does not hold and failed nothing was looked at, not required.
        held = [gate for gate in gates if gate.outcome == "pass"]
        return held or [Gate(name, nodeid, "", None, None, None, "pass", "passed without an estimate that held")]
    if not explained(item, call.excinfo, gates):
        gates.append(_other(name, nodeid, "fail" if call.when == "call" else "error", report, call))
    return gates


def explained(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException] | None, gates: Sequence[Gate]) -> bool:
    """Whether a test failed by one of its gates, and not by what came after one that it only looked at."""
    reasons = [gate.reason for gate in gates if gate.outcome != "pass"]
    if excinfo is None or not reasons:
        return bool(reasons)
    said = str(excinfo.value)
    if said.strip():
        return any(reason[:SHOWN] in said for reason in reasons)
    # An assert that pytest did not rewrite says nothing; one of a helper may be about anything.
    return isinstance(excinfo.value, AssertionError) and Path(excinfo.traceback[-1].path) == item.path


def unheld_reason(comparisons: Sequence[Comparison]) -> str:
    """Why a test that passed must not, or nothing.

    It rests on a comparison that the data decide neither way; or none held, and the opposite of one speaks against the
    model: then its assert was forgotten rather than negated.
    """
    verdicts = [judge(*comparison) for comparison in comparisons]
    for (estimate, operator, threshold), verdict in zip(comparisons, verdicts, strict=True):
        if verdict.outcome != "pass" and isinstance(threshold, JudgedBound):
            return f"{verdict.reason}: a negated or unused comparison let it pass"
        if not isinstance(threshold, JudgedBound) and is_undecided(estimate, operator, threshold):
            return f"{verdict.reason}: undecided, and a negated or unused comparison let it pass"
    if any(verdict.outcome == "pass" for verdict in verdicts):
        return ""
    for (estimate, operator, _), verdict in zip(comparisons, verdicts, strict=True):
        if (operator in ("<=", "<")) != (estimate.metric in HIGHER_IS_BETTER):
            return f"{verdict.reason}: it does not hold, and nothing required it to; assert it"
    return ""


def explain(op: str, left: object, right: object) -> list[str] | None:
    """Lines for a failed ``assert left op right`` with an estimate on either side; the first one tells it all."""
    if op not in MIRRORED:
        return None
    estimate, operator, threshold = (left, op, right) if isinstance(left, Estimate) else (right, MIRRORED[op], left)
    if isinstance(estimate, Estimate) and isinstance(threshold, Accepted):
        threshold = threshold.bound(estimate, operator)  # type: ignore[arg-type]
    if not isinstance(estimate, Estimate) or not isinstance(threshold, Estimate | int | float | np.number):
        return None
    limit = threshold if isinstance(threshold, Estimate | JudgedBound) else float(threshold)
    verdict = judge(estimate, operator, limit)  # type: ignore[arg-type]
    return [line for line in (verdict.reason, verdict.next_step) if line]


def _gate(name: str, nodeid: str, estimate: Estimate, operator: Operator, threshold: Estimate | float) -> Gate:
    verdict = judge(estimate, operator, threshold)
    limit = threshold if isinstance(threshold, Estimate) else float(threshold)
    return Gate(
        name, nodeid, estimate.metric, estimate, operator, limit, verdict.outcome, verdict.reason, verdict.next_step
    )


def _other(name: str, nodeid: str, outcome: Any, report: pytest.TestReport, call: pytest.CallInfo[Any]) -> Gate:
    return Gate(name, nodeid, "", None, None, None, outcome, _said(report, call) or "failed without a word")


def _said(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> str:
    """Why a test broke, in a line; of errors that are not ours no more than their kind, as a report goes further."""
    error = call.excinfo.value if call.excinfo is not None else None
    own: str | None = getattr(report, "kdmem_reason", None)
    if own is None and error is not None and not isinstance(error, KdmemError):
        return f"{type(error).__name__}: what it says is in the log, and not here, as it may hold training text"
    lines = str(own or error or "").strip().splitlines()
    return lines[0] if lines else ""
