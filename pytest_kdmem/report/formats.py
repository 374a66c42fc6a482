"""Writes reports in the format that the ending of a file names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.base.addresses import Place, ending, file_place
from pytest_kdmem.base.files import json_lines, write_text
from pytest_kdmem.errors import SpecError

TEXT_WIDTH = 100  # columns


def write_report(report: Report, path: Place) -> None:
    """Write a report in the format that the ending of a path or address names. The file is written whole or not at all.

    One that shows training text is for its owner alone.

    Raises:
        SpecError: No format has this ending, or a report that shows text is to be written at an address.
        DataError: The file cannot be written.
    """
    check_ending(path)
    shows_text = any(audit.examples is not None and audit.examples.prefix for audit in report.audits)
    if shows_text:
        check_private(path)
    write_text(FORMATS[ending(path)](report), path, private=shows_text)


def check_private(path: Place) -> None:
    """Raise SpecError for an address: who may read a file there is not known, and text is for its owner alone."""
    if isinstance(file_place(path), str):
        raise SpecError(
            f"A path on this machine was expected for a report with text, which its owner alone may read; found {path}:"
            " name a file, or leave out --kdmem-show-text."
        )


def check_ending(path: Place) -> None:
    """Raise SpecError if no format has the ending of a path or address."""
    if ending(path) not in FORMATS:
        raise SpecError(f"A report ends in one of {', '.join(FORMATS)}; found {path}.")


# Each format is imported where it is used, because most runs write none.
def _json(report: Report) -> Iterator[str]:
    return json_lines(report.to_json())


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

    return render(report, width=TEXT_WIDTH, verbosity=1)


# Audits write only the first four: pytest itself writes JUnit and the terminal report.
FORMATS: dict[str, Callable[[Report], str | Iterable[str]]] = {
    ".json": _json,
    ".html": _html,
    ".md": _markdown,
    ".sarif": _sarif,
    ".xml": _junit,
    ".txt": _text,
}
