"""What an audit's test compared, and how it ended → the gates of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kdmem.audit.gates import gate_from
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.metrics.estimate import Comparison

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
    gates = [gate_from(name, nodeid, comparison) for comparison in comparisons]
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
