"""What an audit's test compared, and how it ended → the gates of its report."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_kdmem.auditing.gates import gate_from, unheld_reason
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.recorder import Place, Recorded, Refused
from pytest_kdmem.plugin.written_comparisons import comparisons_not_made, find_function

if TYPE_CHECKING:
    import pytest

SHOWN_CHARACTERS = 100  # of a reason, which pytest shows however much else it cuts


def fail_unheld(report: pytest.TestReport, records: Sequence[Recorded]) -> None:
    """Make a test fail that passed or was skipped, though a comparison that it made does not hold or was refused."""
    if report.failed or not (reason := unheld_reason(records)):
        return
    report.outcome, report.longrepr = "failed", reason
    if hasattr(report, "wasxfail"):  # a mark that a test is expected to fail holds no gate
        del report.wasxfail
    if any(isinstance(entry, Refused) and entry.reason == reason for entry in records):
        report.kdmem_error, report.kdmem_reason = True, reason  # type: ignore[attr-defined]


def is_unheld(gate: Gate) -> bool:
    """Whether a gate is a comparison that does not hold."""
    return gate.estimate is not None and gate.outcome != "pass"


def repeats(gate: Gate, earlier: Sequence[Gate]) -> bool:
    """Whether a comparison that does not hold is one that an earlier attempt of its test made, too."""
    return is_unheld(gate) and any(is_unheld(each) and each.reason == gate.reason for each in earlier)


def gates_not_made(item: pytest.Item, made: Collection[Place]) -> list[Gate]:
    """Return a gate that is not held for each comparison that is written in a test which passed, and was not made."""
    code = getattr(inspect.unwrap(getattr(item, "function", None) or gates_not_made), "__code__", None)
    function = find_function(item.path, code.co_firstlineno) if code and code.co_filename == str(item.path) else None
    if function is None:
        return []
    path, funcargs = Path(item.location[0]).as_posix(), getattr(item, "funcargs", {})
    reasons = {
        line: f"line {line} compares an estimate, and was not reached"
        for line in comparisons_not_made(function, funcargs, made)
    }
    gates = ((line, _gate_without_estimate(item, "pass", reason)) for line, reason in reasons.items())
    return [replace(gate, path=path, line=line) for line, gate in gates]


def stray_gates(entries: Sequence[Recorded], nodeid: str) -> list[Gate]:
    """Return a gate that does not pass for each comparison outside of the audits' tests that does not hold.

    Args:
        entries: What was compared there.
        nodeid: A test of the audit in whose report they stand.
    """
    reasons = dict.fromkeys(filter(None, (unheld_reason([entry]) for entry in entries)))
    text = "compared while no test of an audit ran, which is no gate: "
    return [Gate("outside of tests", nodeid, "", None, None, None, "error", f"{text}{reason}") for reason in reasons]


def gates_of(
    item: pytest.Item,
    records: Sequence[Recorded],
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    *,
    has_gates: bool = False,
) -> list[Gate]:
    """Return the gates of one test: each comparison it made, and how it ended if no comparison explains that.

    Args:
        item: The test.
        records: What it compared since its last report; subtests and a teardown have reports of their own.
        report: How the test, its setup or its teardown ended.
        call: The same as pytest ran it, with the error.
        has_gates: Whether the test has gates of an earlier report.
    """
    if has_gates and report.passed and not records:
        return []
    path, line = location_of(item, report)
    return [replace(gate, path=path, line=line) for gate in _gates_without_location(item, records, report, call)]


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
    item: pytest.Item, records: Sequence[Recorded], report: pytest.TestReport, call: pytest.CallInfo[Any]
) -> list[Gate]:
    name, nodeid = item.name, item.nodeid
    if report.skipped or hasattr(report, "wasxfail"):
        return []
    if getattr(report, "kdmem_error", False):
        return [_gate_without_estimate(item, "error", _error_line(report, call))]
    gates = [gate_from(name, nodeid, entry) for entry in records if isinstance(entry, Comparison)]
    if report.passed:
        return gates or [_gate_without_estimate(item, "pass", "compared no estimate")]
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
        return f"{type(error).__name__}: its message is in the log, and not here, because it may contain training text"
    lines = str(own_reason or error or "").strip().splitlines()
    return lines[0] if lines else "failed without a word"
