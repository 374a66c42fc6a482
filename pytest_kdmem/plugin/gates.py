"""What an audit's test compared, and how it ended → the gates of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_kdmem.audit.gates import gate_from
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.metrics.estimate import Comparison

if TYPE_CHECKING:
    import pytest

SHOWN_CHARACTERS = 100  # of a reason, which pytest shows however much else it cuts


def gates_of(
    item: pytest.Item,
    comparisons: Sequence[Comparison],
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    *,
    has_gates: bool = False,
) -> list[Gate]:
    """Return the gates of one test: each comparison it made, and how it ended if no comparison explains that.

    Args:
        item: The test.
        comparisons: Comparisons since the test's last report; subtests and a teardown have reports of their own.
        report: How the test, its setup or its teardown ended.
        call: The same as pytest ran it, with the error.
        has_gates: Whether the test has gates of an earlier report.
    """
    if has_gates and report.passed and not comparisons:
        return []
    path, line = location_of(item, report)
    return [replace(gate, path=path, line=line) for gate in _gates_without_location(item, comparisons, report, call)]


def location_of(item: pytest.Item, report: pytest.TestReport) -> tuple[str, int]:
    """Return where a test failed in its own file, or else where it begins: path from the root, and line from 1."""
    path, first_line, _ = item.location
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and Path(crash.path) == item.path:
        return Path(path).as_posix(), crash.lineno
    return Path(path).as_posix(), (first_line or 0) + 1


def is_explained(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException] | None, gates: Sequence[Gate]) -> bool:
    """Whether a test failed by one of its gates, and not by what came after one that it only looked at."""
    reasons = [gate.reason for gate in gates if gate.outcome != "pass"]
    if excinfo is None or not reasons:
        return bool(reasons)
    message = str(excinfo.value)
    if message.strip():
        return any(reason[:SHOWN_CHARACTERS] in message for reason in reasons)
    # An assert that pytest did not rewrite has no message; one of a helper may be about anything.
    return isinstance(excinfo.value, AssertionError) and Path(excinfo.traceback[-1].path) == item.path


def _gates_without_location(
    item: pytest.Item, comparisons: Sequence[Comparison], report: pytest.TestReport, call: pytest.CallInfo[Any]
) -> list[Gate]:
    name, nodeid = item.name, item.nodeid
    if report.skipped:
        return []
    if getattr(report, "kdmem_error", False):
        return [_gate_without_estimate(item, "error", _error_line(report, call))]
    gates = [gate_from(name, nodeid, comparison) for comparison in comparisons]
    if report.passed:
        # A comparison that does not hold and failed nothing was looked at, and not required.
        passed = [gate for gate in gates if gate.outcome == "pass"]
        return passed or [_gate_without_estimate(item, "pass", "passed without an estimate that held")]
    if not is_explained(item, call.excinfo, gates):
        outcome: Literal["fail", "error"] = "fail" if call.when == "call" else "error"
        gates.append(_gate_without_estimate(item, outcome, _error_line(report, call)))
    return gates


def _gate_without_estimate(item: pytest.Item, outcome: Literal["pass", "fail", "error"], reason: str) -> Gate:
    return Gate(item.name, item.nodeid, "", None, None, None, outcome, reason)


def _error_line(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> str:
    """Return why a test broke, in a line; of errors that are not ours only the kind, as reports are passed on."""
    error = call.excinfo.value if call.excinfo is not None else None
    own_reason: str | None = getattr(report, "kdmem_reason", None)
    if own_reason is None and error is not None and not isinstance(error, KdmemError):
        return f"{type(error).__name__}: what it says is in the log, and not here, as it may hold training text"
    lines = str(own_reason or error or "").strip().splitlines()
    return lines[0] if lines else "failed without a word"
