"""Report → what GitHub Actions shows: a job's summary, and annotations at the lines of failed audits."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.report.sanitize import sanitize

# GitHub drops a summary of more than 1 MiB; the rest is left to whoever else writes into it.
MOST_BYTES = 1024 * 1024 - 16 * 1024
# It shows no more of a kind from one step.
MOST_ANNOTATIONS = 10
LONGEST_TITLE, LONGEST_MESSAGE = 200, 1000
NAMED = 5
# Where its runner finds a command: two colons after blanks begin a line, or "##[" stands anywhere in one. Lines end at
# a carriage return, too; other services read "##name[".
COLONS = re.compile(r"((?:^|[\r\n])[^\S\r\n]*:)(?=:)")
BRACKET = re.compile(r"##(?=\w{0,20}\[)")


def append_summary(report: Report, path: Path) -> str:
    """Append to a job's summary, so that the whole file stays below GitHub's limit; what went wrong, or nothing."""
    from pytest_kdmem.report.markdown import render

    what = f"The audit's summary was to be appended to {sanitize(str(path))}"
    try:
        present = path.stat().st_size if path.exists() else 0
        between = "\n\n" if present else ""
        text = render(report, limit_bytes=MOST_BYTES - present - len(between))
        if not text:
            return f"{what}, which is full: GitHub shows no more than 1 MiB of it."
        with path.open("ab") as file:
            file.write(f"{between}{text}".encode())
    except (OSError, ValueError) as error:  # a path may hold what no path can
        return f"{what}, which is not possible ({getattr(error, 'strerror', None) or error})."
    return ""


def workflow_commands(report: Report, root: str = ".") -> str:
    """Annotations, a command a line: an error for each gate that failed, a warning for what was not run.

    Where there are more than GitHub shows, the last error says how many more. ``root`` is where the audits' paths
    begin, from the top of the repository.
    """
    failed = report.failed
    shown = failed if len(failed) <= MOST_ANNOTATIONS else failed[: MOST_ANNOTATIONS - 1]
    lines = [_annotation(gate, root) for gate in shown]
    if len(shown) < len(failed):
        lines.append(f"::error title=memorization audit::{len(failed) - len(shown)} more gates did not pass")
    missing = [nodeid for audit in report.audits for nodeid in audit.not_run]
    if missing:
        rest = ", …" if len(missing) > NAMED else ""
        named = ", ".join(sanitize(nodeid, LONGEST_TITLE) for nodeid in missing[:NAMED])
        lines.append(f"::warning title=memorization audit::{len(missing)} gates not run: {_data(named)}{rest}")
    return "".join(f"{line}\n" for line in lines)


def neutralize_commands(text: str) -> str:
    """Log text in which a runner finds no command: a blank parts what would begin one."""
    return BRACKET.sub("# #", COLONS.sub(r"\1 ", text))


def _annotation(gate: Gate, root: str) -> str:
    path = gate.path if root == "." else f"{root}/{gate.path}"
    place = {"file": sanitize(path), "line": str(max(1, gate.line))} if gate.path else {}
    named = place | {"title": sanitize(f"{gate.outcome}: {gate.name}", LONGEST_TITLE)}
    told = ",".join(f"{name}={_property(value)}" for name, value in named.items())
    said = (gate.reason, gate.next_step, gate.command and f"$ {gate.command}")
    return f"::error {told}::" + _data("\n".join(sanitize(one, LONGEST_MESSAGE) for one in said if one))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
