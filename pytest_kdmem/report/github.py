"""Writes what GitHub Actions shows: a job's summary, and annotations at the lines of failed gates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.report.gate_text import further_parts
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.short_names import with_short_names

# GitHub drops a job's summary above 1 MiB. Some of that is left to other writers.
MAX_SUMMARY_BYTES = 1024 * 1024 - 16 * 1024
# GitHub shows at most this many annotations of one kind per step.
MAX_ANNOTATIONS = 10
MAX_TITLE_LENGTH, MAX_MESSAGE_LENGTH = 200, 1000
MAX_NAMED_TESTS = 5
MAX_PARTS = 3  # of a gate over groups, beside the worst
TITLE = "memorization audit"


def append_summary(report: Report, path: Path) -> str:
    """Append the report to a job's summary, and keep the file below GitHub's limit.

    Returns an error message, or an empty string if the summary was written.
    """
    from pytest_kdmem.report.markdown import render

    expected = f"The audit's summary was to be appended to {sanitize(str(path))}"
    try:
        present_bytes = path.stat().st_size if path.exists() else 0
        separator = "\n\n" if present_bytes else ""
        summary = render(report, limit_bytes=MAX_SUMMARY_BYTES - present_bytes - len(separator))
        if not summary:
            return f"{expected}, which is full: GitHub shows no more than 1 MiB of it."
        with path.open("ab") as file:
            file.write(f"{separator}{summary}".encode())
    except (OSError, ValueError) as error:  # ValueError: the path holds a character that no path can hold
        return f"{expected}, which is not possible ({getattr(error, 'strerror', None) or error})."
    return ""


def workflow_commands(report: Report, root: str = ".") -> str:
    """Return annotations, one per line: an error per failed gate, and a warning about tests that were not run.

    If more gates failed than GitHub shows, the last error counts the rest.

    Args:
        report: The report to annotate.
        root: Path from the top of the repository to the folder that the gates' paths are relative to.
    """
    failed = [gate for audit in report.audits for gate in with_short_names(audit).failed]
    shown = failed if len(failed) <= MAX_ANNOTATIONS else failed[: MAX_ANNOTATIONS - 1]
    lines = [_annotation(gate, root) for gate in shown]
    if len(shown) < len(failed):
        lines.append(f"::error title={TITLE}::{len(failed) - len(shown)} more gates did not pass")
    not_run = [nodeid for audit in report.audits for nodeid in audit.not_run]
    if not_run:
        lines.append(_not_run_warning(not_run))
    return "".join(f"{line}\n" for line in lines)


def _annotation(gate: Gate, root: str) -> str:
    path = gate.path if root == "." else f"{root}/{gate.path}"
    location = {"file": sanitize(path), "line": str(max(1, gate.line))} if gate.path else {}
    properties = location | {"title": sanitize(f"{gate.outcome}: {gate.name}", MAX_TITLE_LENGTH)}
    encoded = ",".join(f"{name}={_encode_property(value)}" for name, value in properties.items())
    parts = (gate.reason, *further_parts(gate, MAX_PARTS), gate.next_step, gate.command and f"$ {gate.command}")
    message = "\n".join(sanitize(part, MAX_MESSAGE_LENGTH) for part in parts if part)
    return f"::error {encoded}::{_encode_data(message)}"


def warning(sentence: str) -> str:
    """Return the command that shows a sentence as a warning of the job."""
    return f"::warning title={TITLE}::{_encode_data(sanitize(sentence, MAX_MESSAGE_LENGTH))}"


def _not_run_warning(not_run: Sequence[str]) -> str:
    ellipsis = ", …" if len(not_run) > MAX_NAMED_TESTS else ""
    named = ", ".join(sanitize(nodeid, MAX_TITLE_LENGTH) for nodeid in not_run[:MAX_NAMED_TESTS])
    return f"::warning title={TITLE}::{len(not_run)} gates not run: {_encode_data(named)}{ellipsis}"


def _encode_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _encode_property(text: str) -> str:
    return _encode_data(text).replace(":", "%3A").replace(",", "%2C")
