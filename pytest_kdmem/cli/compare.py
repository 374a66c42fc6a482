"""`kdmem compare`: compares two saved reports over the same examples."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import Annotated

import typer

from pytest_kdmem.base.text import count
from pytest_kdmem.cli.options import check_outputs
from pytest_kdmem.cli.output import say

REGRESSED = 1
# What is said of the changes that speak against a release, by their outcome.
MEANINGS = {
    "worse": "worse",
    "undecided": "not shown to be no worse",
    "refused": "that cannot be compared",
    "unused": "that the second report lacks",
}


def compare(
    old: Annotated[str, typer.Argument(help="Report of the accepted models (.json).", show_default=False)],
    new: Annotated[str, typer.Argument(help="Report of the models to be released (.json).", show_default=False)],
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="File for the second report with its changes (.html, .md, .json …), a path or an address; may be"
            " repeated."
        ),
    ] = None,
) -> None:
    """Compare two saved reports by paired tests over the same examples; no model is run.

    Further figures that both hold, such as those of groups, samplers and classes of secrets, are compared by their
    bounds, and shown if they are not the same.

    Exits with 0 if no result of the student has become worse, with 1 if one has, may have, or cannot be compared, with
    2 if a report cannot be read or the two have nothing in common. Results of teacher and baseline are shown, but do
    not count.
    """
    from pytest_kdmem.auditing.regression.reports import compare_reports
    from pytest_kdmem.auditing.report import Report, read_report
    from pytest_kdmem.report.formats import check_ending, write_report
    from pytest_kdmem.report.regression import OUTCOME_STYLES, change_line
    from pytest_kdmem.report.too_short import too_short_text

    for path in to or ():
        check_ending(path)
        check_outputs({"--to": path}, {"the first report": old, "the second report": new})
    measured = read_report(new)
    sections = compare_reports(read_report(old), measured)
    for section in sections:
        if len(sections) > 1:
            say(section.audit or "the root", style="bold")
        for entry in section.shown:
            say(change_line(entry), style=OUTCOME_STYLES.get(entry.outcome))
    regressed = [change for section in sections for change in section.regressed]
    counted = Counter[str](change.outcome for change in regressed)
    outcome = ", ".join(f"{counted[name]} {meaning}" for name, meaning in MEANINGS.items() if counted[name])
    figures = sum(len(section.changes) + len(section.further) for section in sections)
    unshown = figures - sum(len(section.shown) for section in sections)
    same = f" ({count(unshown)} further ones the same)" if unshown else ""
    say(f"{count(figures)} figure{'s' * (figures != 1)}{same}: {outcome or 'none has grown worse'}")
    for text in dict.fromkeys(filter(None, map(too_short_text, measured.audits))):
        say(f"not looked at: {text}")
    for path in to or ():
        changes = {section.audit: section.shown for section in sections}
        write_report(
            Report(tuple(replace(audit, metric_changes=changes.get(audit.name, ())) for audit in measured.audits)), path
        )
        say(f"report with the changes in {path}")
    sys.exit(REGRESSED if regressed else 0)
