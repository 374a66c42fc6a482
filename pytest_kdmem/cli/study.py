"""`kdmem study`: replicates the published study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say, shown_progress


def study(
    config: Annotated[
        Path, typer.Argument(help="Configuration that names the models to train and the comparisons to make (.toml).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for texts, models, scores and the report.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Part of the study to run, together with the parts it needs; may be repeated. If not given,"
            " all parts run."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(envvar="KDMEM_DATA", help="Folder that holds the texts of the study.")
    ] = None,
) -> None:
    """Replicate the study: train all models, score them, and print each result beside the published one.

    What an earlier run left in the folder is reused, so a study that was stopped continues.
    """
    from pytest_kdmem.study.config_file import read_config

    read_config(config)  # what is wrong in it is told before anything large is imported
    with shown_progress("loading PyTorch and transformers") as progress:
        from pytest_kdmem.study.further_report import write_questions
        from pytest_kdmem.study.report import write_report
        from pytest_kdmem.study.run import run_study

        results = run_study(config, out, only=tuple(only or ()), data=data, report=say, progress=progress)
        progress.status("writing the report")
        written = [*write_report(results, out / "report"), *write_questions(results, out / "report")]
    for path in written:
        say(f"wrote {path}")
