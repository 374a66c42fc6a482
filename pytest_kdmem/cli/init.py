"""`kdmem init`: an audit to begin with, and the workflow that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.errors import SpecError


def init(
    folder: Annotated[Path, typer.Argument(help="Where the audit goes.")] = Path("audits"),
    teacher: Annotated[str | None, typer.Option(help="Folder or hub id of the model that was distilled.")] = None,
    student: Annotated[str | None, typer.Option(help="Folder or hub id of the model to be released.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Folder or hub id of a fine-tuned model of its size.")] = None,
    training_set: Annotated[str | None, typer.Option(help="What they were trained on.")] = None,
    control_set: Annotated[str | None, typer.Option(help="Text that none of them was trained on.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    workflow: Annotated[str, typer.Option(help="Of CI: github, gitlab or none.")] = "github",
) -> None:
    """Write an audit of a release and a CI workflow; what is not named has a placeholder to be filled in.

    Nothing is written over: where a file stands already, nothing is written at all.
    """
    from rich.console import Console

    from pytest_kdmem.cli.starter import WORKFLOWS, Starter, write_starter

    if workflow not in (*WORKFLOWS, "none"):
        raise SpecError(f"--workflow must be one of {', '.join(WORKFLOWS)}, none; found {workflow!r}.")
    named = {
        "teacher": teacher,
        "student": student,
        "baseline": baseline,
        "training_set": training_set,
        "control_set": control_set,
    }
    sources = {role: source for role, source in named.items() if source is not None}
    made = write_starter(Starter(folder, Path.cwd(), sources, text_column, workflow))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for path in made:
        console.print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    if workflow == "gitlab":
        console.print(f"include the job in .gitlab-ci.yml:  include: {{ local: {WORKFLOWS[workflow]} }}")
    console.print(f"next: pytest {folder}" if sources else f"next: name your models in {folder / 'conftest.py'}")
