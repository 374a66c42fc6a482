"""`kdmem report`: writes a saved report in another format."""

from __future__ import annotations

from typing import Annotated

import typer

from pytest_kdmem.cli.options import check_outputs
from pytest_kdmem.cli.output import say


def report(
    record: Annotated[
        str, typer.Argument(help="Report that an audit wrote (.json), a path or an address.", show_default=False)
    ],
    to: Annotated[
        list[str],
        typer.Option(
            help="File to write (.html, .md, .sarif, .xml for JUnit, .txt or .json), a path or an address; may be"
            " repeated."
        ),
    ],
) -> None:
    """Write a saved report in another format; no model is run."""
    from pytest_kdmem.auditing.report import read_report
    from pytest_kdmem.report.formats import check_ending, write_report

    for path in to:
        check_ending(path)
        check_outputs({"--to": path}, {"the record": record})
    saved = read_report(record)
    for path in to:
        write_report(saved, path)
        say(f"report in {path}")
