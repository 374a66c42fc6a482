"""`kdmem compare`: two saved reports, figure by figure, over the same examples."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

REGRESSED = 1


def compare(
    old: Annotated[Path, typer.Argument(help="Report of what was accepted (.json).", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Report of what is to ship (.json).", show_default=False)],
) -> None:
    """Compare two saved reports by paired tests over the same examples; nothing is run.

    Exits with 0 if nothing that ships has grown worse, 1 if something has, or may have, or cannot be compared, 2 if the
    reports cannot be read or have nothing in common. Teacher and baseline are shown, and decide nothing.
    """
    from rich.console import Console

    from pytest_kdmem.audit.regression.reports import compared
    from pytest_kdmem.audit.report import read_report
    from pytest_kdmem.report.github import neutralize_commands
    from pytest_kdmem.report.glyphs import ASCII, UNICODE
    from pytest_kdmem.report.regression import OUTCOME_STYLES, change_line
    from pytest_kdmem.report.sanitize import sanitize

    sections = compared(read_report(old), read_report(new))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    signs = UNICODE if (console.encoding or "ascii").startswith("utf") else ASCII
    for section in sections:
        if len(sections) > 1:
            console.print(neutralize_commands(signs.clean(sanitize(section.audit) or "the root")), style="bold")
        for entry in section.drift:
            console.print(
                neutralize_commands(signs.clean(change_line(entry))), style=OUTCOME_STYLES.get(entry.outcome, "")
            )
    wrong = sum(len(section.regressed) for section in sections)
    figures = sum(len(section.drift) for section in sections)
    console.print(f"{figures} figures compared: {f'{wrong} no longer hold' if wrong else 'none has grown worse'}")
    sys.exit(REGRESSED if wrong else 0)
