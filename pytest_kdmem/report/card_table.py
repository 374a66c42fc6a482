"""Writes an audit's results into the text of a model card, as a table and warnings for people between two marks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.extent import not_reached, tokens_looked_at
from pytest_kdmem.report.gate_text import PART_KINDS
from pytest_kdmem.report.markdown_text import escape_markdown, table, titled_list
from pytest_kdmem.report.model_card import LINE_BREAK, audited_model
from pytest_kdmem.report.sentences import figure_text, verdict_sentence

BEGIN, END = "<!-- pytest-kdmem: begin of the last audit -->", "<!-- pytest-kdmem: end of the last audit -->"
# Marks stand on lines of their own: in a sentence that speaks of them they are text.
LINE_END = r"(?=[\r\n]|\Z)"
SECTION = re.compile(rf"(?m)^{BEGIN}{LINE_END}[\s\S]*?^{END}{LINE_END}|^(?:{BEGIN}|{END}){LINE_END}")
# Figures with a row of their own, and what figures of what a student inherited are of.
IN_EVERY_CARD = ("memorization rate", "inheritance ratio", "reduction", "share at risk", "loss")
INHERITED = "inherited"
HEADINGS = ("measured", "value", "over", "examples")
# The folders of an absolute path or an address, from where a word may begin.
FOLDERS = re.compile(r"(?<![^\s'\"=(\[,])(?:\w[\w+.-]*:|~|\.\.?)?[/\\](?=\S)(?:[^\s/\\]*[/\\])*")


def insert_table(text: str, audit: AuditResult) -> str:
    """Return a card with a table of an audit's results in place of that of an earlier audit, or at its end.

    Raises:
        DataError: The marks of such a table do not stand around one table.
    """
    first_break = LINE_BREAK.search(text)
    line_break = first_break[0] if first_break else "\n"
    section = line_break.join(_section(audit).split("\n"))
    found = list(SECTION.finditer(text))
    if len(found) > 1 or (found and not (found[0][0].startswith(BEGIN) and found[0][0].endswith(END))):
        raise DataError(
            "One table of an audit was expected in the card, between its two marks; remove the other marks."
        )
    if found:
        return f"{text[: found[0].start()]}{section}{text[found[0].end() :]}"
    return f"{text.rstrip()}{2 * line_break}{section}{line_break}"


def _section(audit: AuditResult) -> str:
    day = escape_markdown(audit.created.partition("T")[0])
    verdict = f"**{escape_markdown(verdict_sentence(Report((audit,))))}.**\n"
    cells = list(_rows(audit))
    rows = table(HEADINGS, cells)
    has_bounds = any("[" in value for _, value, *_ in cells)
    tokens, unreached = tokens_looked_at(audit), "; ".join(not_reached(audit, names_parts=False))
    measured_by = (
        "Measured by [pytest-kdmem](https://pypi.org/project/pytest-kdmem/)"
        f" on {day}{'; in brackets, the bound at the confidence of the audit' * has_bounds}.\n"
    )
    looked_at = f"Looked at: {escape_markdown(tokens)}.\n" if tokens else ""
    not_looked_at = f"Not looked at: {escape_markdown(unreached)}.\n" if unreached else ""
    warnings = titled_list("Warnings", (_without_folders(each, audit) for each in audit.warnings), "", escape_markdown)
    body = "\n".join(filter(None, [verdict, rows, measured_by, looked_at, not_looked_at, warnings]))
    return f"{BEGIN}\n## Memorization audit\n\n{body}{END}"


def _without_folders(warning: str, audit: AuditResult) -> str:
    """Return a warning without the folders of paths: a card is public, and they tell of the machine."""
    sets = (audit.training_set, audit.control_set, audit.teacher_set, *audit.other_sets.values())
    sources = {*(model.source for model in audit.models.values()), *(data.source for data in sets if data is not None)}
    for source in sorted(sources, key=len, reverse=True):
        if last_part(source) != source:
            warning = warning.replace(source, last_part(source))
    return FOLDERS.sub("", warning)


def _rows(audit: AuditResult) -> Iterator[list[str]]:
    """A row for each figure of the audited model that was measured."""
    subject, inheritance, held_out = audited_model(audit), audit.inheritance, audit.held_out
    figures: list[tuple[str, Estimate | None, DataEntry | None]] = [
        ("memorization rate", audit.memorization.get(subject), audit.training_set)
    ]
    if inheritance is not None and inheritance.ratio.subject == subject:
        figures += [
            ("inheritance ratio", inheritance.ratio, audit.training_set),
            ("reduction against the baseline", inheritance.reduction, audit.training_set),
        ]
    at_risk = audit.risk.share_at_risk if audit.risk is not None else None
    figures.append(("share predicted to be at risk", at_risk, audit.training_set))
    figures.append(("held-out loss", held_out[subject].loss if subject in held_out else None, audit.control_set))
    figures += [(name, estimate, audit.training_set) for name, estimate in _of_gates(audit, subject).items()]
    for name, estimate, data in figures:
        if estimate is not None and data is not None:
            yield [
                escape_markdown(name),
                escape_markdown(figure_text(estimate)),
                escape_markdown(last_part(data.source)) or "–",
                count(estimate.n),
            ]


def _of_gates(audit: AuditResult, subject: str) -> dict[str, Estimate]:
    """Figures of the audited model that gates were about and that have no row of their own, as of classes of secrets,
    of samplers, and of the worst group, which is not named: a card is public, and a group may be a customer.
    """
    figures: dict[str, Estimate] = {}
    for gate in audit.gates:
        estimate = gate.estimate
        if estimate is None or estimate.set_name or (estimate.part is None and estimate.metric in IN_EVERY_CARD):
            continue
        if estimate.part is None:
            name, is_of_subject = estimate.metric, estimate.subject in (subject, INHERITED)
        else:
            kind, kinds = PART_KINDS[estimate.part]
            which = f"worst of {count(estimate.parts)} {kinds}" if estimate.parts > 1 else f"one {kind}"
            name, is_of_subject = f"{estimate.metric}, {which}", estimate.subject.startswith(f"{subject} on ")
        if is_of_subject:
            figures.setdefault(name, estimate)
    return figures
