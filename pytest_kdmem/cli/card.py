"""`kdmem card`: writes an audit's results into the model card of the student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.options import check_outputs
from pytest_kdmem.cli.output import say


def card(
    record: Annotated[str, typer.Argument(help="Report that an audit wrote (.json).", show_default=False)],
    readme: Annotated[Path, typer.Argument(help="Model card of the student (README.md).", show_default=False)],
    audit: Annotated[str | None, typer.Option(help="Name of the audit, if the report holds more than one.")] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Data set of the hub (owner/name), if the training set is registered there as a benchmark. The"
            " results are then also written to .eval_results/pytest-kdmem.yaml beside the card."
        ),
    ] = None,
) -> None:
    """Write the student's results into its model card: the front matter, where model hubs read them, and a table.

    Above the table stands the verdict, and below it what was looked at, what was not, and the audit's warnings.

    The rest of the card stays as it is. Results of an earlier audit are replaced; the first table goes to the end of
    the card. If there is no card, one is created.
    Only results, warnings and the names of training sets are written: no text, no examples, no paths.
    """
    from pytest_kdmem.auditing.report import read_report
    from pytest_kdmem.base.files import write_text
    from pytest_kdmem.report.card_table import insert_table
    from pytest_kdmem.report.eval_results import FILE, check_file, eval_results
    from pytest_kdmem.report.model_card import insert_results, read_card, select_audit

    check_outputs({"README.md": readme}, {"the record": record})
    result = select_audit(read_report(record), audit)
    results_file = readme.parent / FILE
    check_file(results_file, benchmark)
    before, results = read_card(readme), eval_results(result, benchmark) if benchmark is not None else ""
    after = insert_table(insert_results(before, result), result)
    if after != before:
        write_text(after, readme)
    say(f"wrote the figures into {readme}")
    if results:
        write_text(results, results_file)
        say(f"wrote the figures into {results_file}")
