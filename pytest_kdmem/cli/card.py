"""`kdmem card`: an audit's figures in the card of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    record: Annotated[Path, typer.Argument(help="Report that an audit wrote (.json).", show_default=False)],
    readme: Annotated[Path, typer.Argument(help="The model's card, README.md.", show_default=False)],
    audit: Annotated[str | None, typer.Option(help="Which audit, where the report has several.")] = None,
) -> None:
    """Write the student's figures into the front matter of its card, where model hubs read results.

    All else in the card stays as it is, and figures of an earlier audit are replaced. Where there is no card, one is
    made. It tells figures and what the sets are called: no text, no examples, no paths.
    """
    from rich.console import Console

    from pytest_kdmem.audit.report import read_report
    from pytest_kdmem.base.files import write_text
    from pytest_kdmem.cli import options
    from pytest_kdmem.report.model_card import insert_results, read_card, select_audit

    options.check_outputs({"README.md": readme}, {"the record": record})
    told = select_audit(read_report(record), audit)
    before = read_card(readme)
    after = insert_results(before, told)
    if after != before:
        write_text(after, readme)
    Console(highlight=False, markup=False, soft_wrap=True).print(f"figures in {readme}")
