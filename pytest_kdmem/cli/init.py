"""`kdmem init`: writes an audit to begin with, and the CI workflow that runs it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say
from pytest_kdmem.specs.checks import choice, require


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Models and texts of the audit; those not given get a placeholder."""

    teacher: str | None
    student: str | None
    baseline: str | None
    training_set: str | None
    control_set: str | None


def init(
    sources: Sources,
    text_column: str,
    folder: Annotated[Path, typer.Argument(help="Folder to write the audit to.")] = Path("audits"),
    workflow: Annotated[str, typer.Option(help="CI service whose workflow is written: github, gitlab or none.")] = (
        "github"
    ),
) -> None:
    """Write an audit of a model and a CI workflow that runs it.

    Models and texts that are not given have placeholders to be filled in. No file is overwritten: if one of the files
    exists, nothing is written at all.
    """
    from pytest_kdmem.cli.starter import WORKFLOWS, Starter, write_starter

    require("--workflow", workflow, choice(*WORKFLOWS, "none"))
    given = {role: source for role, source in asdict(sources).items() if source is not None}
    written = write_starter(Starter(folder, Path.cwd(), given, text_column, workflow))
    for path in written:
        say(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    if workflow == "gitlab":
        say(f"include the job in .gitlab-ci.yml:  include: {{ local: {WORKFLOWS[workflow]} }}")
    say(f"next: pytest {folder}" if given else f"next: name your models in {folder / 'conftest.py'}")
