"""`kdmem report`: a saved report in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    record: Annotated[Path, typer.Argument(help="Report that an audit wrote (.json).", show_default=False)],
    to: Annotated[
        list[Path],
        typer.Option(help="Where it goes: .html, .md, .sarif, .xml (JUnit), .txt or .json; repeatable."),
    ],
) -> None:
    """Write a saved report in another format; nothing is run."""
    from rich.console import Console

    from pytest_kdmem.audit.report import read_report
    from pytest_kdmem.cli import options
    from pytest_kdmem.report.formats import check_ending, write_report

    for path in to:
        check_ending(path)
        options.check_outputs({"--to": path}, {"the record": record})
    read = read_report(record)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for path in to:
        write_report(read, path)
        console.print(f"report in {path}")
