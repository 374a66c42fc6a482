"""Renders a report as one HTML file that loads nothing, runs only its own script, and reads without it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_examples import MAX_CONTINUED
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.example_rows import ExampleRow, first_example_rows
from pytest_kdmem.report.families import family_tables, gated_parts
from pytest_kdmem.report.figures import draw_pictures
from pytest_kdmem.report.gate_text import comparison_text, further_parts, measured_below, scope_text, shown_gates
from pytest_kdmem.report.held_out import held_out_text
from pytest_kdmem.report.identity import identity_lines, looked_at, not_looked_at
from pytest_kdmem.report.regression import change_line
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sentences import (
    figure_text,
    gate_summary,
    overall_outcome,
    precision_phrase,
    unaudited_phrase,
    verdict_sentence,
)
from pytest_kdmem.report.short_names import with_short_names
from pytest_kdmem.report.side_by_side import SideBySide, side_by_side
from pytest_kdmem.report.students import COLUMNS, student_lines
from pytest_kdmem.report.venn import CELLS, diagrams, ordered_roles

MAX_ROWS = 2000
MAX_FAMILY_ROWS = 200
MAX_PRINTED = 3  # examples with their text, the first and as many that differ, on a page of their own
MAX_PRINTED_ROWS = 40  # of a family that gates are about, which report.css knows, too
SYMBOLS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!"}
# Blanks at which a number, its bound or its factor must not be divided between two lines.
INSIDE_NUMBER = re.compile(r"(?<=\d) (?=\d{3}(?!\d))|(?<=[≤≥<>]) (?=\d)|(?<=\d) (?=×)")


def render(report: Report) -> str:
    """Return the page."""
    script = _read_asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        verdict=verdict_sentence(report),
        outcome=overall_outcome(report.audits),
        students=student_lines(report),
        student_columns=COLUMNS,
        sections=[_section(audit, f"a{index}") for index, audit in enumerate(report.audits)],
        symbols=SYMBOLS,
        style=Markup(_read_asset("report.css")),
        script=Markup(script),
        max_family_rows=MAX_FAMILY_ROWS,
        max_continued=MAX_CONTINUED,
        max_printed_rows=MAX_PRINTED_ROWS,
        script_digest=Markup(f"sha256-{digest}"),
    )


@cache
def _template() -> Template:
    """Return the template, compiled once for all pages of a process."""
    environment = Environment(
        loader=PackageLoader("pytest_kdmem.report"),
        autoescape=True,
        finalize=_sanitize_value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: _unbroken(count(number)),
        "percent": percent,
        "scope": lambda gate: _unbroken(scope_text(gate)),
        "further_parts": lambda gate: [_unbroken(line) for line in further_parts(gate)],
        "comparison": lambda gate: _unbroken(comparison_text(gate)),
        "capitalized": _capitalized,
        "measured": lambda gate: _unbroken(measured_below(gate)),
        "summary": gate_summary,
        "precision_phrase": precision_phrase,
        "unaudited_phrase": unaudited_phrase,
        "unbroken": _unbroken,
        "figure_text": figure_text,
    }
    environment.tests["estimate"] = lambda value: isinstance(value, Estimate)
    return environment.get_template("report.html.j2")


def _read_asset(name: str) -> str:
    return files("pytest_kdmem.report").joinpath("templates", name).read_text(encoding="utf-8")


def _sanitize_value(value: Any) -> Any:
    """Sanitize a string that enters the page; jinja2 escapes it after that."""
    if isinstance(value, Markup):
        return value
    return sanitize(value) if isinstance(value, str) else value


def _unbroken(sentence: str) -> str:
    """Return a sentence of a report of which no number is divided between two lines."""
    return INSIDE_NUMBER.sub("\u00a0", sentence)


def _capitalized(title: str) -> str:
    return title[:1].upper() + title[1:]


def _section(audit: AuditResult, prefix: str) -> dict[str, Any]:
    """Return what the template shows of one audit; all its ids begin with the prefix."""
    audit = with_short_names(audit)
    shown, examples = diagrams(audit), audit.examples
    rows = first_example_rows(audit, MAX_ROWS)
    texts = _texts(audit, rows)
    families, gated = family_tables(audit), gated_parts(audit)
    return {
        "audit": audit,
        "prefix": prefix,
        "name": audit.name or "the root",
        "gates": shown_gates(sorted(audit.gates, key=lambda gate: gate.outcome == "pass")),
        "identity": identity_lines(audit),
        "looked_at": looked_at(audit),
        "not_looked_at": not_looked_at(audit),
        "roles": ordered_roles(audit),
        "held_out": held_out_text(audit),
        "pictures": draw_pictures(audit, prefix),
        "diagrams": shown,
        "cells": [(cell, [each.entry.cells.get(cell.key, 0) for each in shown]) for cell in CELLS] if shown else [],
        "risk": risk_lines(audit.risk) if audit.risk is not None else (),
        "changes": [(change.outcome, change_line(change)) for change in audit.metric_changes],
        "confirmations": [confirmation_line(subject, entry) for subject, entry in audit.confirmation.items()],
        "gated_families": [family for family in families if family.family in gated],
        "families": [family for family in families if family.family not in gated],
        "columns": list(examples.models) if examples is not None else [],
        "rows": rows,
        "texts": texts,
        "printed": _printed(texts),
        "total_rows": len(examples.example_id) if examples is not None else 0,
    }


def _printed(texts: Mapping[int, SideBySide]) -> set[int]:
    """Return the first examples that models continued, and the first of the others that one continues otherwise."""
    continued = [example_id for example_id, text in texts.items() if text.generated]
    others = [example_id for example_id in continued[MAX_PRINTED:] if texts[example_id].compared]
    return {*continued[:MAX_PRINTED], *others[:MAX_PRINTED]}


def _texts(audit: AuditResult, rows: Sequence[ExampleRow]) -> dict[int, SideBySide]:
    """Return the text of the examples in the table by their number; empty unless the audit shows text."""
    examples = audit.examples
    if examples is None or not examples.prefix:
        return {}
    return {row.example_id: side_by_side(examples, row.index) for row in rows}
