"""`kdmem compare`: compares two saved reports over the same examples."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say

REGRESSED = 1


def compare(
    old: Annotated[str, typer.Argument(help="Report of the accepted models (.json).", show_default=False)],
    new: Annotated[str, typer.Argument(help="Report of the models to be released (.json).", show_default=False)],
) -> None:
    """Compare two saved reports by paired tests over the same examples; no model is run.

    Exits with 0 if no result of the student has become worse, with 1 if one has, may have, or cannot be compared, with
    2 if a report cannot be read or the two have nothing in common. Results of teacher and baseline are shown, but do
    not count.
    """
    from pytest_kdmem.auditing.regression.reports import compare_reports
    from pytest_kdmem.auditing.report import read_report
    from pytest_kdmem.report.regression import OUTCOME_STYLES, change_line

    sections = compare_reports(read_report(old), read_report(new))
    for section in sections:
        if len(sections) > 1:
            say(section.audit or "the root", style="bold")
        for entry in section.changes:
            say(change_line(entry), style=OUTCOME_STYLES.get(entry.outcome))
    regressed = sum(len(section.regressed) for section in sections)
    figures = sum(len(section.changes) for section in sections)
    outcome = f"{regressed} are worse, or cannot be shown to be no worse" if regressed else "none has grown worse"
    say(f"{figures} figures compared: {outcome}")
    sys.exit(REGRESSED if regressed else 0)
