"""Report → what GitHub Actions shows: a job's summary, and annotations at the lines of failed audits."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_kdmem.report.plain import plain
from pytest_kdmem.report.record import Report
from pytest_kdmem.result_entries import Gate

# GitHub refuses a summary of 1 MiB; the rest is left to whoever else writes into it.
MOST_BYTES = 1024 * 1024 - 16 * 1024
# It shows no more of a step.
MOST_ANNOTATIONS = 10
LONGEST_MESSAGE = 1000


def append_summary(report: Report, path: Path) -> str:
    """Append to a job's summary, so that the whole file stays below GitHub's limit; what went wrong, or nothing."""
    from pytest_kdmem.report.markdown import render

    try:
        present = path.stat().st_size if path.exists() else 0
        room = MOST_BYTES - present
        if room <= 0:
            return f"The audit's summary was to be appended to {path}, and that is full."
        with path.open("ab") as file:
            file.write(("\n" * bool(present) + render(report, limit_bytes=room - 1)).encode("utf-8", "replace"))
    except OSError as error:
        return f"The audit's summary was to be appended to {path}, which is not possible ({error.strerror})."
    return ""


def workflow_commands(report: Report) -> str:
    """Annotations, a command a line: an error for each gate that failed, a warning for what was not run."""
    failed = [gate for audit in report.audits for gate in audit.failed]
    lines = [_annotation(gate) for gate in failed[:MOST_ANNOTATIONS]]
    if more := len(failed) - MOST_ANNOTATIONS:
        lines += [f"::error::{more} more gates failed; the report has them"] * (more > 0)
    for missing in (audit.not_run for audit in report.audits if audit.not_run):
        lines.append(f"::warning title=memorization audit::{_data(f'{len(missing)} gates were not run')}")
    return "".join(f"{line}\n" for line in lines)


def neutral(text: str) -> str:
    """Log text in which GitHub's runner finds no command: ``::`` at the start of a line, ``##[`` anywhere in one."""
    return re.sub(r"(?m)^(\s*):(?=:)", r"\1: ", text).replace("##[", "# #[")


def _annotation(gate: Gate) -> str:
    place = {"file": gate.path, "line": str(gate.line)} if gate.path else {}
    named = place | {"title": f"{gate.outcome}: {gate.name}"}
    told = ",".join(f"{name}={_property(value)}" for name, value in named.items())
    return f"::error {told}::{_data(' '.join(filter(None, (gate.reason, gate.next_step))))}"


def _data(text: str) -> str:
    return plain(text, LONGEST_MESSAGE).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
