"""`kdmem study`: the study, replicated from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def study(
    config: Annotated[Path, typer.Argument(help="What is trained and compared (.toml).")],
    out: Annotated[Path, typer.Option(help="Folder of texts, models, scores and the report.")],
    only: Annotated[list[str] | None, typer.Option(help="Parts to run, with what they need; default: all.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="KDMEM_DATA", help="Folder of the texts.")] = None,
) -> None:
    """Replicate the study: train all models, score them, and set each finding beside the published one.

    What is there already is used, so a stopped study goes on.
    """
    from pytest_kdmem.study.report import write_report
    from pytest_kdmem.study.run import run_study

    found = run_study(config, out, only=tuple(only or ()), data=data, report=typer.echo)
    for path in write_report(found, out / "report"):
        typer.echo(f"wrote {path}")
