"""The table of several students with which reports begin, so that the one to ship is seen at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.students import StudentRow
from pytest_kdmem.base.text import count
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sentences import UNKNOWN, figure_text, overall_outcome

# Columns after the student's name.
COLUMNS = ("mode", "temperature", "seed", "size", "rate", "reduction", "inherited", "gates")


@dataclass(frozen=True)
class StudentLine:
    """One line of the table.

    Attributes:
        name: The student's name, with the place of its audit if students are declared at several places.
        outcome: Outcome of its own gates together.
        cells: Text of each of `COLUMNS`.
        position: Position of its audit in the report.
    """

    name: str
    outcome: Literal["pass", "fail", "inconclusive"]
    cells: tuple[str, ...]
    position: int


def student_lines(report: Report) -> list[StudentLine]:
    """Return a line for each of several students, in the order of the audits; none if there is one student."""
    audits = [(position, audit) for position, audit in enumerate(report.audits) if audit.student]
    places = {audit.name.removesuffix(f"[{audit.student}]") for _, audit in audits}
    return [
        StudentLine(row.name if len(places) == 1 else row.audit, overall_outcome([audit]), _cells(row, audit), position)
        for row, (position, audit) in zip(report.students, audits, strict=True)
    ]


def size_text(parameters: int) -> str:
    """Return a number of parameters in millions or billions."""
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def _cells(row: StudentRow, audit: AuditResult) -> tuple[str, ...]:
    return (
        UNKNOWN if row.mode is None else sanitize(row.mode),
        UNKNOWN if row.temperature is None else f"{row.temperature:g}",
        UNKNOWN if row.seed is None else str(row.seed),
        UNKNOWN if row.parameters is None else size_text(row.parameters),
        *(UNKNOWN if figure is None else figure_text(figure) for figure in (row.rate, row.reduction, row.ratio)),
        _gates(row, audit),
    )


def _gates(row: StudentRow, audit: AuditResult) -> str:
    match overall_outcome([audit]):
        case "pass":
            return f"all {count(row.gates)} pass" if row.gates > 1 else "passes"
        case "fail":
            return f"{count(row.failed)} of {count(row.gates)} failed"
        case "inconclusive":
            return f"{count(row.not_run)} not run" if row.not_run else "not decided"
