"""The report of an audit as a Python program or a notebook has it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.errors import ComparisonError, GateError
from pytest_kdmem.report.sentences import overall_outcome, verdict_sentence
from pytest_kdmem.report.short_names import with_short_names

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

TEXT_WIDTH = 100  # columns
FRAME_HEIGHT = 720  # pixels


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit: the record that audits under pytest write, with its verdict and its gates.

    Printed, it is the terminal's report; in a notebook it is the HTML report. It contains training text only if the
    audit was called with ``show_text``.

    Attributes:
        record: The record, from which every report is made.
    """

    record: Report

    @property
    def passed(self) -> bool | None:
        """Whether every gate holds; None if no gate was named, since nothing is decided then."""
        return overall_outcome(self.record.audits) == "pass" if self.gates else None

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates with their outcomes, those of each student in turn."""
        return tuple(gate for audit in self.record.audits for gate in audit.gates)

    @property
    def verdict(self) -> str:
        """Whether the audited models may ship, and how many gates say so, in a sentence."""
        return f"{verdict_sentence(self.record)}."

    def check(self) -> None:
        """Raise an error unless every gate holds.

        Raises:
            GateError: A gate does not hold, or none was asked for.
        """
        if not self.passed:
            reasons = [gate.reason for audit in self.record.audits for gate in with_short_names(audit).failed]
            raise GateError(f"{verdict_sentence(self.record)}{''.join(f'; {reason}' for reason in reasons)}.")

    def save(self, path: str | Path) -> None:
        """Write the report in the format that its ending names: .json, .html, .md, .sarif, .xml (JUnit) or .txt.

        Args:
            path: A path, or an address such as ``s3://bucket/audit.json``.

        Raises:
            SpecError: No format has this ending.
            DataError: The file cannot be written.
        """
        from pytest_kdmem.report.formats import write_report

        write_report(self.record, path)

    def to_json(self) -> dict[str, Any]:
        """Return the record as the JSON report holds it."""
        return self.record.to_json()

    def __bool__(self) -> NoReturn:
        raise ComparisonError("A report is neither true nor false; use its `.passed`, or call its `.check()`.")

    def __repr__(self) -> str:
        return f"AuditReport({verdict_sentence(self.record)})"

    def __str__(self) -> str:
        return f"{self._text(TEXT_WIDTH)}{self.verdict}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        unicode = options.encoding.startswith("utf")
        text = self._text(options.max_width, color=console.color_system is not None, unicode=unicode)
        yield Text.from_ansi(text.rstrip("\n"))
        yield Text(self.verdict)

    def _repr_html_(self) -> str:
        """The HTML report in a frame of its own, in which its styles and its script stay."""
        from pytest_kdmem.report.html import render

        page = escape(render(self.record), quote=True)
        style = f"width: 100%; height: {FRAME_HEIGHT}px; border: 0"
        return f'<iframe sandbox="allow-scripts" title="Memorization audit" style="{style}" srcdoc="{page}"></iframe>'

    def _text(self, width: int, *, color: bool = False, unicode: bool = True) -> str:
        from pytest_kdmem.report.terminal import render

        return render(self.record, width=width, color=color, unicode=unicode)
