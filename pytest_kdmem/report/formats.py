"""The formats of a report, by the ending of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_kdmem.audit.report import Report
from pytest_kdmem.base.files import laid_out, write_text
from pytest_kdmem.errors import SpecError

WIDTH = 100  # columns of a text file


def write_report(report: Report, path: Path) -> None:
    """Write a report in the format that its ending names, whole or not at all.

    Raises:
        SpecError: there is no such format.
        DataError: the folder cannot be written.
    """
    check_ending(path)
    write_text(FORMATS[path.suffix](report), path)


def check_ending(path: Path) -> None:
    """Raise SpecError for a path that names no format."""
    if path.suffix not in FORMATS:
        raise SpecError(f"A report ends in one of {', '.join(FORMATS)}; found {path}.")


def _json(report: Report) -> str:
    return laid_out(report.to_json()) + "\n"


def _html(report: Report) -> str:
    from pytest_kdmem.report.html import render

    return render(report)


def _markdown(report: Report) -> str:
    from pytest_kdmem.report.markdown import render

    return render(report)


def _sarif(report: Report) -> str:
    from pytest_kdmem.report.sarif import render

    return render(report)


def _junit(report: Report) -> str:
    from pytest_kdmem.report.junit import render

    return render(report)


def _text(report: Report) -> str:
    from pytest_kdmem.report.terminal import render

    return render(report, width=WIDTH, verbosity=1)


# All but the last two are written by audits, too: pytest has JUnit and a terminal of its own.
FORMATS: dict[str, Callable[[Report], str]] = {
    ".json": _json,
    ".html": _html,
    ".md": _markdown,
    ".sarif": _sarif,
    ".xml": _junit,
    ".txt": _text,
}
