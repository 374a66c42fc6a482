"""`kdmem comment`: writes a report as a comment on the pull request, which is edited by later runs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.cli.output import say
from pytest_kdmem.errors import DataError, SpecError

if TYPE_CHECKING:
    from pytest_kdmem.auditing.report import Report
    from pytest_kdmem.report.comment import CommentContext

LINK = re.compile(r"https?://[\w.~:/?#@!$&'*+,;=%-]+", re.ASCII)  # nothing that ends a link in Markdown


def comment(
    record: Annotated[str, typer.Argument(help="Report that the audit wrote (.json).", show_default=False)],
    before: Annotated[
        str | None,
        typer.Option(
            help="Report to compare figures with (.json), such as that of the base branch, where the audit has no"
            " accepted figures. If there is no such file, nothing is compared."
        ),
    ] = None,
    link: Annotated[str, typer.Option(help="Address of the HTML report.")] = "",
    name: Annotated[
        str, typer.Option(help="Name of the audit in its comment; each name has a comment of its own.")
    ] = "memorization-audit",
    exit_code: Annotated[
        int | None,
        typer.Option(
            help="Exit code of the audit. If it is not 0, the comment says that there is no release, whatever the"
            " report says, and the report may be missing."
        ),
    ] = None,
    post: Annotated[
        str,
        typer.Option(
            help="Service that runs this CI job (github or gitlab). The comment is posted on the job's pull request,"
            " or the comment of an earlier run is edited. Its token is read from GITHUB_TOKEN or GITLAB_TOKEN. If not"
            " given, the comment is printed."
        ),
    ] = "",
) -> None:
    """Write a report as a comment on a pull request: the verdict, the figures before and now, and the gates.

    If the comment cannot be posted, for example on a pull request from a fork, a warning says so, and the command exits
    with 0: the verdict is still the audit's exit code.
    """
    from pytest_kdmem.cli.pull_request import audited_commit
    from pytest_kdmem.report.comment import CommentContext, render

    if link and not LINK.fullmatch(link):
        raise SpecError("--link must be an address that begins with http:// or https://, without blanks and brackets.")
    if post not in ("", "github", "gitlab"):
        raise SpecError(f"--post must be github or gitlab; found {post!r}.")
    report = _report(record, exit_code)
    earlier, problem = _report_before(before)
    context = CommentContext(
        name=name,
        before=earlier,
        before_problem=problem,
        link=link,
        commit=audited_commit(),
        exit_code=exit_code,
    )
    body = render(report, context)
    if post:
        _post(body, context, post)
    else:
        sys.stdout.buffer.write(body.encode())


def _report(record: str, exit_code: int | None) -> Report | None:
    """Return the report, or None if a failed audit wrote none that can be read."""
    from pytest_kdmem.auditing.report import read_report

    try:
        return read_report(record)
    except DataError:
        if exit_code:
            return None
        raise


def _report_before(path: str | None) -> tuple[Report | None, str]:
    """Return the report to compare with, and a sentence on why it cannot be read."""
    from pytest_kdmem.auditing.report import read_report
    from pytest_kdmem.base.addresses import is_address
    from pytest_kdmem.base.paths import exists

    if path is None or not (is_address(path) or exists(Path(path))):
        return None, ""
    try:
        return read_report(path), ""
    except DataError as error:
        return None, str(error)


def _post(body: str, context: CommentContext, service: str) -> None:
    from pytest_kdmem.cli.pull_request import github_threads, gitlab_threads, post
    from pytest_kdmem.report.comment import marker
    from pytest_kdmem.report.github import warning

    try:
        threads = post(github_threads if service == "github" else gitlab_threads, marker(context.name), body)
    except DataError as error:
        if os.environ.get("GITHUB_ACTIONS") == "true":
            typer.echo(warning(str(error)))
        else:
            say(f"warning: {error}")
        return
    say("the comment is posted" if threads else "this job has no pull request, and no comment is posted")
