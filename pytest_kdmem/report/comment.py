"""Renders a report as the comment on a pull request: the verdict, the figures before and now, and the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from pytest_kdmem.auditing.regression.compare import metric_changes
from pytest_kdmem.auditing.regression.metrics import tracked_metrics
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.schema_checks import MetricChange
from pytest_kdmem.base.text import count
from pytest_kdmem.report.extent import not_reached, tokens_looked_at
from pytest_kdmem.report.gate_text import further_parts, measured_text, scoped_comparison
from pytest_kdmem.report.markdown import SYMBOLS, Detail, gate_cell
from pytest_kdmem.report.markdown_text import code_span, escape_markdown, table, titled_list
from pytest_kdmem.report.sentences import overall_outcome, verdict_sentence
from pytest_kdmem.report.short_names import with_short_names

# GitHub refuses longer comments. It counts characters, of which there are never more than bytes.
MAX_BYTES = 65_536
# The most rows of each table, tried in this order until the comment fits.
ROWS = (None, 100, 30, 10, 3, 1)
MAX_WARNINGS = 3
MAX_PARTS = 3  # of a gate over groups, beside the worst
SHOWN_OF_COMMIT = 12


@dataclass(frozen=True, kw_only=True)
class CommentContext:
    """What a comment shows of the run in CI, which the report does not hold.

    Attributes:
        name: Name that tells the comments of several audits apart.
        before: Report to compare figures with where the audit has no accepted ones, such as that of the base branch.
        before_problem: Sentence on why there is no report to compare with, or an empty string.
        link: Address of the HTML report, or an empty string.
        commit: Commit that was audited, or an empty string.
        exit_code: Exit code of the audit's run; None if it is not known.
    """

    name: str
    before: Report | None = None
    before_problem: str = ""
    link: str = ""
    commit: str = ""
    exit_code: int | None = None


def marker(name: str) -> str:
    """Return the first line of a comment, which is not shown and by which the comment is found again."""
    return f"<!-- pytest-kdmem: {quote(name, safe=' ')} -->"


def render(report: Report | None, context: CommentContext) -> str:
    """Return the comment in GitHub's Markdown, in at most `MAX_BYTES` bytes.

    Neither example ids nor text are in it. Where it would be too long, rows of its tables are left out, and it says so.

    Args:
        report: The audit's report; None if the audit ended without one.
        context: What else is shown.
    """
    for rows in ROWS:
        comment = _render(report, context, Detail(max_rows=rows))
        if len(comment.encode()) <= MAX_BYTES:
            return comment
    omission = "_Left out here: all else. The report has it._\n"
    return "\n".join([marker(context.name), _verdict(report, context), omission, _footer(context)])


def _render(report: Report | None, context: CommentContext, detail: Detail) -> str:
    parts = [marker(context.name), _verdict(report, context)]
    if report is not None:
        # If not all audits are shown, those with failed gates come first.
        ordered = sorted(report.audits, key=lambda audit: detail.max_rows is not None and not audit.failed)
        audits, rest = detail.limit(ordered)
        parts += [_audit(audit, report, context, detail) for audit in audits]
        parts += [f"{rest} audits\n"] * bool(rest)
    return "\n".join([*parts, _footer(context)])


def _verdict(report: Report | None, context: CommentContext) -> str:
    """Return the report's verdict; it is no release if the run failed, whatever the report says."""
    ended = "" if context.exit_code is None else f" with exit code {context.exit_code}"
    if report is None:
        return f"## {SYMBOLS['error']} Do not ship: the audit ended{ended} and wrote no report\n"
    outcome = overall_outcome(report.audits)
    if outcome == "pass" and context.exit_code not in (None, 0):
        return f"## {SYMBOLS['error']} Do not ship: the run ended{ended}, although all gates of the audit pass\n"
    return f"## {SYMBOLS[outcome]} {escape_markdown(verdict_sentence(report))}\n"


def _audit(audit: AuditResult, report: Report, context: CommentContext, detail: Detail) -> str:
    title = f"### {escape_markdown(audit.name or 'the root')}\n\n" if len(report.audits) > 1 else ""
    parts = [_figures(audit, report, context, detail), _gates(audit, detail), _unseen(audit, detail)]
    return title + "\n".join(filter(None, parts))


def _unseen(audit: AuditResult, detail: Detail) -> str:
    """Return the first warnings, and what of the training set was looked at and what was not."""
    few = replace(detail, max_rows=min(MAX_WARNINGS, detail.max_rows or MAX_WARNINGS))
    tokens, unreached = tokens_looked_at(audit), "; ".join(not_reached(audit))
    looked_at = f"Looked at: {escape_markdown(tokens)}\n" if tokens else ""
    not_looked_at = f"Not looked at: {escape_markdown(unreached)}\n" if unreached else ""
    warnings = titled_list("Warnings", *few.limit(audit.warnings), escape_markdown)
    return "\n".join(filter(None, [warnings, looked_at, not_looked_at]))


def _figures(audit: AuditResult, report: Report, context: CommentContext, detail: Detail) -> str:
    changes, source = _changes(audit, report, context.before)
    shown, rest = detail.limit(changes)
    if not source:
        return table(("figure", "value"), [(_name(change), _value(change.measured)) for change in shown], rest)
    rows = [(_name(change), _value(change.accepted), _value(change.measured), _explanation(change)) for change in shown]
    return table(("figure", f"before ({source})", "now", "change"), rows, rest)


def _changes(audit: AuditResult, report: Report, before: Report | None) -> tuple[Sequence[MetricChange], str]:
    """Return the change of each figure, and what it is compared with; an empty string if with nothing."""
    if audit.metric_changes:
        return with_short_names(audit).metric_changes, "accepted figures"
    earlier = _same_audit(audit, report, before)
    changes = metric_changes(tracked_metrics(earlier) if earlier is not None else (), tracked_metrics(audit))
    return with_short_names(
        replace(audit, metric_changes=tuple(changes))
    ).metric_changes, "base branch" if earlier is not None else ""


def _same_audit(audit: AuditResult, report: Report, before: Report | None) -> AuditResult | None:
    """Return the audit of the same name in the report before, or its only one if each report has one."""
    if before is None:
        return None
    if len(before.audits) == len(report.audits) == 1:
        return before.audits[0]
    return next((earlier for earlier in before.audits if earlier.name == audit.name), None)


def _name(change: MetricChange) -> str:
    return escape_markdown(change.name)


def _value(estimate: object) -> str:
    return "–" if estimate is None else escape_markdown(str(estimate))


def _explanation(change: MetricChange) -> str:
    return escape_markdown(f"{change.outcome}: {change.reason}")


def _gates(audit: AuditResult, detail: Detail) -> str:
    gates, rest = detail.limit(sorted(with_short_names(audit).gates, key=lambda gate: gate.outcome == "pass"))
    rows = [(SYMBOLS[gate.outcome], gate_cell(gate, measured_text(gate)), _figure_cell(gate)) for gate in gates]
    not_run = f"\n{count(len(audit.not_run))} gates not run\n" if audit.not_run else ""
    return (table(("", "gate", "figure"), rows, rest) if rows else "No gate was run.\n") + not_run


def _figure_cell(gate: Gate) -> str:
    return "<br>".join(map(escape_markdown, [scoped_comparison(gate), *further_parts(gate, MAX_PARTS)]))


def _footer(context: CommentContext) -> str:
    problem = f"No figures before are shown: {escape_markdown(context.before_problem)}\n\n"
    parts = [
        f"[HTML report]({context.link})" if context.link else "",
        f"commit {code_span(context.commit[:SHOWN_OF_COMMIT])}" if context.commit else "",
        f"audit {code_span(context.name)}",
    ]
    return problem * bool(context.before_problem) + " · ".join(filter(None, parts)) + "\n"
