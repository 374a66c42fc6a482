"""Renders a report as Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate, ModelEntry
from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.example_groups import named_examples
from pytest_kdmem.report.families import FamilyTable, family_tables
from pytest_kdmem.report.gate_text import (
    ShownGate,
    further_parts,
    gate_title,
    measured_below,
    scoped_comparison,
    shown_gates,
)
from pytest_kdmem.report.held_out import held_out_text
from pytest_kdmem.report.identity import identity_lines, looked_at, not_looked_at
from pytest_kdmem.report.markdown_text import bullets, code_span, escape_markdown, table, titled_list
from pytest_kdmem.report.regression import change_line
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sentences import (
    figure_text,
    overall_outcome,
    precision_phrase,
    unaudited_phrase,
    verdict_sentence,
)
from pytest_kdmem.report.short_names import with_short_names
from pytest_kdmem.report.students import COLUMNS, student_lines
from pytest_kdmem.report.venn import CELLS, Diagram, diagrams, inheritance_line, ordered_roles

Item = TypeVar("Item")
SYMBOLS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️", "error": "❌"}
MEMBER_SYMBOLS = {"1": "●", "0": "·"}
MAX_IDS = 20
MAX_FAMILY_ROWS = 200


@dataclass(frozen=True)
class Detail:
    """How much of a report is shown.

    Attributes:
        settings: Whether settings, versions and digests are shown.
        ids: Whether example ids are shown.
        max_rows: The most rows of any list; None shows all.
    """

    settings: bool = True
    ids: bool = True
    max_rows: int | None = None

    def limit(self, items: Sequence[Item]) -> tuple[Sequence[Item], str]:
        """Return the items to show, and a note on how many are left out, which is empty if none is."""
        if self.max_rows is None or len(items) <= self.max_rows:
            return items, ""
        return items[: self.max_rows], f"… and {count(len(items) - self.max_rows)} more"

    def omissions(self) -> str:
        """Return a line on what is left out, or an empty string."""
        omitted = ["settings, versions and digests"] * (not self.settings) + ["example ids"] * (not self.ids)
        omitted += [f"rows beyond the first {self.max_rows} of each list"] * (self.max_rows is not None)
        return f"_Left out here: {'; '.join(omitted)}. The JSON report has them._\n" if omitted else ""


# Tried in this order until the report fits its limit.
DETAILS = (
    Detail(),
    Detail(settings=False),
    Detail(settings=False, ids=False),
    *(Detail(settings=False, ids=False, max_rows=rows) for rows in (1000, 300, 100, 30, 10, 3, 1)),
)


def render(report: Report, *, limit_bytes: int | None = None) -> str:
    """Return the report in GitHub's Markdown.

    Args:
        report: The report to render.
        limit_bytes: Most bytes of the text in UTF-8; None sets no limit. A report that is too long loses its settings
            first, then its example ids, then rows of its lists, and says so. If that is not enough, only the verdict
            is left, and if even that does not fit, the text is empty.
    """
    if limit_bytes is None:
        return _render(report, Detail())
    verdict_alone = f"{_verdict(report)}\n_Left out here: all else. The JSON report has it._\n"
    candidates = (*(_render(report, detail) for detail in DETAILS), verdict_alone)
    return next((text for text in candidates if len(text.encode()) <= limit_bytes), "")


def _verdict(report: Report) -> str:
    return f"## {SYMBOLS[overall_outcome(report.audits)]} {escape_markdown(verdict_sentence(report))}\n"


def _render(report: Report, detail: Detail) -> str:
    # If not all audits are shown, those with failed gates come first.
    ordered = sorted(report.audits, key=lambda audit: detail.max_rows is not None and not audit.failed)
    audits, rest = detail.limit(ordered)
    alone = len(report.audits) == 1
    sections = [_audit(audit, detail) if alone else _titled_audit(audit, detail) for audit in audits]
    end = [f"{rest} audits\n" if rest else "", detail.omissions()]
    return "\n".join(filter(None, [_verdict(report), _students(report, detail), *sections, *end]))


def _students(report: Report, detail: Detail) -> str:
    lines, rest = detail.limit(student_lines(report))
    rows = [(SYMBOLS[line.outcome], *map(escape_markdown, (line.name, *line.cells))) for line in lines]
    return table(("", "student", *COLUMNS), rows, rest) if rows else ""


def _titled_audit(audit: AuditResult, detail: Detail) -> str:
    return f"### {escape_markdown(audit.name or 'the root')}\n\n{_audit(audit, detail)}"


def _audit(audit: AuditResult, detail: Detail) -> str:
    audit = with_short_names(audit)
    risk = risk_lines(audit.risk) if audit.risk is not None else ()
    confirmations = [confirmation_line(subject, entry) for subject, entry in audit.confirmation.items()]
    changes = [change_line(change) for change in audit.metric_changes]
    parts = [
        bullets([f"{name}: {escape_markdown(text)}" for name, text in identity_lines(audit)]),
        _gates(audit, detail),
        titled_list("Not run", *detail.limit(audit.not_run), code_span),
        titled_list("Warnings", *detail.limit(audit.warnings), escape_markdown),
        _models(audit, detail),
        _inheritance(diagrams(audit), audit.examples, detail),
        titled_list("Predicted risk", risk, "", escape_markdown),
        titled_list("Compared with accepted figures", *detail.limit(changes), escape_markdown),
        titled_list("Confirmation", *detail.limit(confirmations), escape_markdown),
        titled_list("Looked at", looked_at(audit), "", escape_markdown),
        titled_list("Not looked at", not_looked_at(audit), "", escape_markdown),
        *(_family(family, detail) for family in family_tables(audit)),
        _settings(audit) if detail.settings else "",
    ]
    return "\n".join(filter(None, parts))


def _gates(audit: AuditResult, detail: Detail) -> str:
    gates, rest = detail.limit(shown_gates(sorted(audit.gates, key=lambda gate: gate.outcome == "pass")))
    rows = [
        (
            SYMBOLS[shown.gate.outcome],
            _name_cell(shown),
            escape_markdown(scoped_comparison(shown.gate)),
            _explanation(shown.gate),
        )
        for shown in gates
    ]
    return table(("", "gate", "figure", "why, and what next"), rows, rest) if rows else "No gate was run.\n"


def gate_cell(gate: Gate, measured: str) -> str:
    """Return the name of a gate, and below it in small text what was measured."""
    return escape_markdown(gate_title(gate)) + (f"<br><sub>{escape_markdown(measured)}</sub>" if measured else "")


def _name_cell(shown: ShownGate) -> str:
    if shown.titles:
        return "<br>".join(map(escape_markdown, [shown.title, *shown.titles]))
    return gate_cell(shown.gate, measured_below(shown.gate))


def _explanation(gate: Gate) -> str:
    if gate.outcome == "pass":
        return ""
    command = code_span(gate.command) if gate.command else ""
    sentences = [gate.reason, *further_parts(gate), gate.next_step]
    return "<br>".join(filter(None, [*map(escape_markdown, sentences), command]))


def _models(audit: AuditResult, detail: Detail) -> str:
    headings = ("model", "recited", "of", "rate", "bound", "ambiguous", "held-out loss")
    roles, rest = detail.limit(ordered_roles(audit))
    rows = []
    for role in roles:
        rate, held_out = audit.memorization.get(role), audit.held_out.get(role)
        rate_cells = _rate_cells(rate) if rate is not None else ["–"] * 5
        rows.append((escape_markdown(role), *rate_cells, figure_text(held_out.loss) if held_out else "–"))
    legend = held_out_text(audit)
    return table(headings, rows, rest) + (f"\n{escape_markdown(legend)}\n" if legend else "") if rows else ""


def _rate_cells(rate: Estimate) -> list[str]:
    exact = rate.exhaustive and rate.low == rate.high
    recited = "–" if rate.k is None else count(rate.k)
    bound = "exact" if exact else f"≤ {rate.format_value(rate.high)}"
    return [recited, count(rate.n), rate.format_value(rate.value), bound, count(rate.ambiguous)]


def _inheritance(shown: Sequence[Diagram], examples: ExamplesEntry | None, detail: Detail) -> str:
    """Return the table of the diagrams, and figures of the first one and of the others."""
    if not shown:
        return ""
    entry = shown[0].entry
    rows = [
        (
            *(MEMBER_SYMBOLS[member] for member in cell.members),
            cell.label,
            *(count(diagram.entry.cells.get(cell.key, 0)) for diagram in shown),
        )
        for cell in CELLS
    ]
    estimates = f"inherited {entry.ratio}; easy {entry.easy_share}; reduction {entry.reduction}"
    lines = [f"{estimates}, McNemar p = {entry.p_value:.2g}"]
    lines += [f"{diagram.name}: {inheritance_line(diagram.entry)}" for diagram in shown[1:]]
    ids = entry.inherited_examples
    if ids and detail.ids:
        rest = f" and {count(len(ids) - MAX_IDS)} more" if len(ids) > MAX_IDS else ""
        lines.append(f"inherited examples: {', '.join(named_examples(examples, ids[:MAX_IDS]))}{rest}")
    paragraphs = "".join(f"\n{escape_markdown(line)}\n" for line in lines)
    headings = ("T", "B", "S", "recited by", *(escape_markdown(diagram.name) for diagram in shown))
    return table(headings, rows) + paragraphs


def _family(family: FamilyTable, detail: Detail) -> str:
    rows, rest = replace(detail, max_rows=min(MAX_FAMILY_ROWS, detail.max_rows or MAX_FAMILY_ROWS)).limit(family.rows)
    cells = [map(escape_markdown, (row.label, row.examples, *row.cells)) for row in rows]
    shown = table(("", "examples", *map(escape_markdown, family.subjects)), map(tuple, cells), rest)
    notes = titled_list("Notes", *detail.limit(family.notes), escape_markdown)
    return f"<details><summary>{family.title}</summary>\n\n{family.meaning}\n\n{shown}\n{notes}</details>\n"


def _settings(audit: AuditResult) -> str:
    lines = [f"created: {code_span(audit.created)}"]
    sets = {"training set": audit.training_set, "control set": audit.control_set, "teacher set": audit.teacher_set}
    for label, entry in sets.items():
        if entry is not None:
            sampled = "" if entry.exhaustive else " sampled"
            sampled += f", stratified {escape_markdown(entry.stratified)}" if entry.stratified else ""
            held = f", {count(entry.in_training_set)} left out as in the training set" * bool(entry.in_training_set)
            unaudited = f", {phrase}" if (phrase := unaudited_phrase(entry.unaudited_turns)) else ""
            lines.append(
                f"{label}: {code_span(entry.source)}, {count(entry.distinct)} distinct{sampled} of"
                f" {count(entry.examples)}, {entry.short.brief}{held}{unaudited}, digest"
                f" {code_span(entry.digest)}"
            )
    lines += [_model(role, audit.models[role]) for role in ordered_roles(audit)]
    values = (*audit.settings.items(), *audit.versions.items())
    lines += [f"{escape_markdown(name)}: {code_span(str(value))}" for name, value in values]
    return f"<details><summary>Settings, versions and digests</summary>\n\n{bullets(lines)}\n</details>\n"


def _model(role: str, model: ModelEntry) -> str:
    revision = f" at {code_span(model.revision)}" if model.revision else ""
    engine = f"{model.engine}, {model.device}, {precision_phrase(model)}"
    adapter = f" (an adapter, merged into {code_span(model.base)})" if model.base else ""
    quantized = f" (quantized: {escape_markdown(model.quantization)})" if model.quantization else ""
    source = f"{code_span(model.source)}{revision}{adapter}{quantized}, digest {code_span(model.digest)}"
    return f"{escape_markdown(role)}: {source}, {escape_markdown(engine)}"
